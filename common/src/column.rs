//! Texts in a terminal's columns, of which a Japanese character takes two.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// How many columns a text takes.
pub fn width(text: &str) -> usize {
    text.width()
}

/// The text with blanks after it, up to `columns`.
pub fn pad(text: &str, columns: usize) -> String {
    format!("{text}{}", " ".repeat(columns.saturating_sub(width(text))))
}

/// At most `columns` of the text; `…` stands for what is cut off.
pub fn cut(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut room = columns.saturating_sub(1);
    let kept = text.chars().take_while(|c| {
        let wide = c.width().unwrap_or(0);
        let fits = wide <= room;
        room = room.saturating_sub(wide);
        fits
    });
    kept.chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn japanese_characters_take_two_columns() {
        assert_eq!((width("点検a"), pad("点検", 6)), (5, "点検  ".to_owned()));
    }

    #[test]
    fn what_is_cut_never_takes_more_than_its_room() {
        for columns in 1..12 {
            let text = cut("a点検b点検", columns);
            assert!(width(&text) <= columns, "{text} in {columns}");
            assert_eq!(text.ends_with('…'), columns < 10, "{text} in {columns}");
        }
    }
}
