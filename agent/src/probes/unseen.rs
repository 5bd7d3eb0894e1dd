//! Words of patients, fed through everything that plugins, text files, exporters and UPSes can say, are
//! in no record that their probes make (SLA A6.5(1)③).

use super::{
    battery::{Battery, BatterySpec},
    names::Names,
    plugins::{PluginSpec, Plugins},
    scrapes::{ScrapeSpec, Scrapes},
    testing::{at_ms, run_here},
    textfiles::{TextfileSpec, Textfiles},
};
use std::{
    fs::File,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpListener,
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};
use tenken_agent_core::probe::Probe;
use tenken_common::{
    codec,
    id::{Name, RecId},
    observation::{Body, Observation, Record},
    wire::v1::RecordV1,
};

const WORDS: [&str; 5] = ["\u{5c71}\u{7530}\u{592a}\u{90ce}", "YAMADA", "TARO", "P1234567", "0010"];

fn names() -> Arc<Names> {
    Arc::new(Names::new(&[Name::new("device").unwrap()], [7; 32]))
}

/// The records of one run, as they go to the spool.
fn records(probe: &mut dyn Probe) -> (Vec<Observation>, Vec<u8>) {
    let seen = run_here(probe).unwrap();
    let encoded = seen.iter().flat_map(|o| {
        let record = Record { id: RecId(1), observation: o.clone() };
        codec::to_vec(&RecordV1::of(&record).unwrap()).unwrap()
    });
    let bytes = encoded.collect();
    (seen, bytes)
}

fn assert_unseen(bytes: &[u8]) {
    for word in WORDS {
        assert!(!bytes.windows(word.len()).any(|part| part == word.as_bytes()), "{word} is in a record");
    }
}

fn quantities(seen: &[Observation]) -> usize {
    seen.iter().map(|o| if let Body::Sample(sample) = &o.body { sample.quantities.len() } else { 0 }).sum()
}

/// A text in which the words are names of metrics, of labels and their values.
fn exposition() -> String {
    let mut text =
        String::from("# HELP kept of \u{5c71}\u{7530}\u{592a}\u{90ce}, YAMADA^TARO, (0010,0010)\n");
    for (i, word) in ["\u{5c71}\u{7530}\u{592a}\u{90ce}", "YAMADA^TARO", "P1234567", "(0010,0010)", "YAMADA"]
        .iter()
        .enumerate()
    {
        text.push_str(&format!("kept{{patient=\"{word}\"}} {i}\nkept{{device=\"{word}\",tag=\"x\"}} {i}\n"));
    }
    text.push_str(
        "kept{YAMADA_TARO=\"1\"} 8\nkept{P1234567=\"device\"} 9\nYAMADA_TARO 1\nP1234567{a=\"b\"} 2\n",
    );
    text
}

#[test]
fn through_a_plugin() {
    let printed = "OK - \u{5c71}\u{7530}\u{592a}\u{90ce} YAMADA^TARO|YAMADA^TARO=1 P1234567=2s \
        ''(0010,0010)''=3% ''\u{5c71}\u{7530}\u{592a}\u{90ce}''=4;5;6 YAMADA=7 0010=8 TARO=1,5 YAMADA\n\
        P1234567 | TARO=9\nYAMADA=10KB P1234567";
    let spec =
        format!("name = 'p'\ncommand = ['echo', \"{}\"]", printed.replace("''", "'").replace('\n', "\\n"));
    let spec: PluginSpec = toml::from_str(&spec).unwrap();
    let (seen, bytes) = records(&mut Plugins::new(vec![spec], names()));
    assert_eq!(quantities(&seen), 9, "eight labels and how many were refused: {seen:?}");
    assert_unseen(&bytes);
}

#[test]
fn through_text_files_and_their_names() {
    let folder = tempfile::tempdir().unwrap();
    let now = UNIX_EPOCH + Duration::from_secs(at_ms(0).at.wall.as_secs().unsigned_abs());
    let write = |name: &str, text: &str| {
        let mut file = File::create(folder.path().join(name)).unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file.set_modified(now).unwrap();
    };
    write("YAMADA^TARO.prom", &exposition());
    write("P1234567.prom", "YAMADA^TARO 1\n");
    write("\u{5c71}\u{7530}\u{592a}\u{90ce}.prom", "P1234567 (0010,0010)");
    let spec = format!("name = 'job'\nfile = '{}/*.prom'\nmetrics = ['kept']", folder.path().display());
    let spec: TextfileSpec = toml::from_str(&spec).unwrap();
    let (seen, bytes) = records(&mut Textfiles::new(vec![spec], names()));
    assert_eq!(quantities(&seen), 14, "twelve series, two broken files, three files: {seen:?}");
    assert_unseen(&bytes);
}

#[test]
fn through_an_exporter() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/P1234567", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 4096]).unwrap();
        let body = exposition();
        let head =
            format!("HTTP/1.1 200 OK\r\nX-Name: YAMADA^TARO\r\nContent-Length: {}\r\n\r\n", body.len());
        stream.write_all((head + &body).as_bytes()).unwrap();
    });
    let spec: ScrapeSpec =
        toml::from_str(&format!("name = 'node'\nurl = '{url}'\nmetrics = ['kept']")).unwrap();
    let (seen, bytes) = records(&mut Scrapes::new(vec![spec], names()));
    assert_eq!(quantities(&seen), 12, "{seen:?}");
    assert_unseen(&bytes);
}

#[test]
fn through_a_ups() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let nut = vec![listener.local_addr().unwrap().to_string()];
    std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        for line in BufReader::new(&stream).lines() {
            let answer = match line.unwrap().as_str() {
                "LIST UPS" => {
                    "BEGIN LIST UPS\nUPS P1234567 \"\u{5c71}\u{7530}\u{592a}\u{90ce}\"\nUPS \"YAMADA TARO\" 0010\nEND LIST UPS\n"
                }
                "LIST VAR P1234567" => {
                    "BEGIN LIST VAR P1234567\nVAR P1234567 ups.status \"OL YAMADA\"\n\
                    VAR P1234567 battery.charge \"50\"\nVAR P1234567 TARO \"0010\"\nEND LIST VAR P1234567\n"
                }
                _ => "ERR YAMADA P1234567\n",
            };
            // A client that has enough hangs up.
            let _ = (&stream).write_all(answer.as_bytes());
        }
    });
    let (seen, bytes) = records(&mut Battery::new(&BatterySpec { nut }, names()));
    let hidden = seen.iter().filter(|o| o.subject.as_str().starts_with("h:")).count();
    assert_eq!(hidden, 4, "a charge and a state, a reason and a state: {seen:?}");
    assert_unseen(&bytes);
}
