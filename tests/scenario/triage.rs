//! The triage bundle of a real incident: one file that loads nothing, which a browser draws.

use crate::office::{BOUND, Office};
use std::{fs, process::Command};
use tenken_tests::{MailServer, bed::stdout, wait_until};

#[test]
fn a_bundle_is_one_file_that_stands_alone() {
    let dir = tempfile::tempdir().unwrap();
    let mail = MailServer::start(dir.path());
    let office = Office::open(&mail);
    let _collector = office.bed.start_collector();
    let home = office.bed.enroll("ct-1");
    let mut service = office.start_service();
    let _agent = office.bed.start_agent(&home);
    office.wait_for_service(&home);
    service.kill();
    let incident = wait_until(BOUND, "the incident", |state| {
        let list = office.bed.listing(&["incident", "list"]);
        *state = list.to_string();
        list[0]["id"].as_u64()
    });
    office.wait_for_hooks(1);
    let number = format!("INC-{incident}");
    let page = dir.path().join("triage.html");
    let said = stdout(&office.bed.collector(&["triage", &number, "--out", page.to_str().unwrap()]));
    assert!(said.contains(&number) && said.contains("一次切り分け資料"), "{said}");
    let html = fs::read_to_string(&page).unwrap();
    for part in
        [&number, "ct-1", "最初に確認すること", "サービス pacs の状態が異常です", "<svg", "新しい異常"]
    {
        assert!(html.contains(part), "{part} in {html}");
    }
    for outside in ["http://", "https://", "<script", "<link", "url("] {
        assert!(!html.contains(outside), "{outside}");
    }
    let english = stdout(&office.bed.collector(&["triage", &number, "--lang", "en"]));
    assert!(
        english.contains("What to check first") && english.contains("service pacs is not as it should be")
    );
    let unknown = office.bed.collector(&["triage", "INC-1"]);
    assert!(!unknown.status.success());

    // Well-formed, as a browser's own parser would have to repair it otherwise.
    let check = "import html.parser, sys\n\
        class P(html.parser.HTMLParser):\n\
        \x20   void = {'meta', 'br'}\n\
        \x20   def __init__(self): super().__init__(); self.open = []\n\
        \x20   def handle_starttag(self, tag, attrs): self.open += [] if tag in self.void else [tag]\n\
        \x20   def handle_startendtag(self, tag, attrs): pass\n\
        \x20   def handle_endtag(self, tag): assert self.open.pop() == tag, tag\n\
        p = P(); p.feed(open(sys.argv[1], encoding='utf-8').read()); assert p.open == [], p.open";
    let output = Command::new("/usr/bin/python3").args(["-c", check]).arg(&page).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
