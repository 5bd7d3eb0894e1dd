//! Names, numbers of patients and tags of DICOM, put into everything that the agent reads: none of
//! them stands in its folder or on the wire (SLA A6.5(1)③).

use std::{
    collections::BTreeSet,
    fs,
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};
use tenken_common::{
    codec,
    envelope::{Envelope, Payload},
    wire::v1::ReceivedBatch,
};
use tenken_tests::{Bed, BedPlan, free_port, recorder::Recorder, stdout, wait_until};

const BOUND: Duration = Duration::from_secs(60);
const WORDS: [&str; 5] = ["山田", "YAMADA", "TARO", "P7654321", "0010,0010"];
/// What is declared for each input, so that it is known that the input was read and sent.
const DECLARED: [&str; 10] =
    ["console", "tube", "lamp", "product", "scanner", "pacs", "room", "export", "station", "modality"];
/// The probes that read them.
const PROBES: [&str; 8] =
    ["revisions", "counters", "pattern_files", "services", "plugins", "textfiles", "scrapes", "neighbours"];
const CATEGORIES: [&str; 14] = [
    "performance",
    "disk",
    "network",
    "sensor",
    "clock",
    "service",
    "patch",
    "pattern_file",
    "revision",
    "wear",
    "agent",
    "inventory",
    "event",
    "neighbour",
];

#[test]
fn a_patients_name_reaches_neither_the_spool_nor_the_wire() {
    let ward = Ward::open(&[]);
    let (spooled, heard) = ward.live();
    for word in WORDS {
        assert!(!contains(&spooled, word), "{word} lies in the agent's folder");
        assert!(!contains(&heard, word), "{word} was sent");
    }
    for name in DECLARED {
        assert!(contains(&heard, name), "{name} was never sent, so its input proves nothing");
    }
}

/// The test finds what it looks for: a name that the configuration declares, label and value, does leave.
#[test]
fn a_declared_name_leaves_and_is_found() {
    let (_, heard) = Ward::open(&["patient", "YAMADA"]).live();
    assert!(contains(&heard, "YAMADA"));
}

/// A device all of whose inputs speak of patients.
struct Ward {
    bed: Bed,
    inputs: PathBuf,
    exporter: Exporter,
    declared: String,
}

impl Ward {
    fn open(declared: &[&str]) -> Self {
        let bed = Bed::new(BedPlan { categories: CATEGORIES.to_vec(), ..BedPlan::default() });
        let inputs = bed.dir().join("YAMADA^TARO");
        fs::create_dir(&inputs).expect("the bed is ours");
        Self { bed, inputs, exporter: Exporter::start(), declared: format!("{declared:?}") }
    }

    /// First the collector says "later" and all of it stays in the spool; then all of it is sent. Gives
    /// what lay in the agent's folder, and what was inside every envelope.
    fn live(&self) -> (Vec<u8>, Vec<u8>) {
        let port = free_port();
        let config = self.bed.path("collector.toml");
        let text = fs::read_to_string(&config).expect("the bed wrote it");
        fs::write(&config, format!("push_url = \"https://localhost:{port}\"\n{text}")).expect("as before");
        let _collector = self.bed.start_collector();
        let home = self.bed.enroll("ct-1");
        self.bed.write_agent(&home, &self.config());
        stdout(&self.bed.agent(&home, &["check-config"]));
        let recorder =
            Recorder::start(port, self.bed.device_port, &self.bed.dir().join("collector/pki"), &home.state);
        recorder.hold(true);
        let mut agent = self.bed.start_agent(&home);
        let records = wait_until(BOUND, "every probe to have run", |state| {
            let status = tenken_agent::status::load(&home.state).ok()?;
            let ran: BTreeSet<&str> = status.probes.iter().map(|run| run.probe.as_str()).collect();
            *state = format!("{ran:?} {:?}", status.spool);
            (PROBES.iter().all(|probe| ran.contains(probe)) && status.spool.in_flight > 0)
                .then_some(status.spool.last_record)
        });
        agent.kill();
        let mut spooled = Vec::new();
        read_all(&home.state, &mut spooled);
        recorder.hold(false);
        let _agent = self.bed.start_agent(&home);
        let heard = wait_until(BOUND, "what lay in the spool to be sent", |state| {
            let (plain, newest) = opened(&recorder);
            let missing: Vec<&&str> = DECLARED.iter().filter(|name| !contains(&plain, name)).collect();
            *state = format!("newest record {newest} of {records}, without {missing:?}");
            (newest >= records && missing.is_empty()).then_some(plain)
        });
        read_all(&home.state, &mut spooled);
        (spooled, heard)
    }

    /// Everything that has a name of its own has a sound one; all that it reads is full of the words.
    fn config(&self) -> String {
        let at = |name: &str| self.inputs.join(name).display().to_string();
        let write = |name: &str, text: &str| fs::write(at(name), text).expect("the folder is ours");
        write("P7654321.txt", "YAMADA^TARO 山田太郎 (0010,0010)\n");
        write("YAMADA.version", "YAMADA^TARO VERSION 3.2 P7654321\n");
        write("P7654321.json", "{\"YAMADA^TARO\": {\"exposures\": 4711}, \"(0010,0010)\": \"P7654321\"}");
        write("P7654321.csv", "YAMADA,hours\nTARO,815\n");
        write("YAMADA.def", "山田太郎 P7654321 CurDefs=20261124 (0010,0010)\n");
        write("YAMADA^TARO.prom", &exposition());
        write("P7654321.prom", "YAMADA{P7654321=\"TARO\"} 1\n");
        write("YAMADA.sh", PLUGIN);
        fs::set_permissions(at("YAMADA.sh"), fs::Permissions::from_mode(0o755)).expect("the file is ours");
        let (text, sheet, script) = (at("P7654321.txt"), at("P7654321.csv"), at("YAMADA.sh"));
        let (json, definitions, prom) = (at("P7654321.json"), at("YAMADA.def"), at("*.prom"));
        let version = at("YAMADA.version");
        let (web, names) = (self.exporter.port, &self.declared);
        format!(
            "[push]\ninterval = '1s'\nreport = '1s'\nretry_first = '100ms'\nretry_max = '1s'\n\
             [probes]\nnames = {names}\n\
             [[probes.revisions]]\nname = 'console'\nfile = '{version}'\npattern = 'VERSION ([0-9.]+)'\n\
             [[probes.revisions]]\nname = 'detector'\nfile = '{json}'\njson = '/(0010,0010)'\n\
             [[probes.counters]]\nname = 'tube'\nquantity = 'exposures'\nrated_life = 400000\n\
             file = '{json}'\njson = '/YAMADA^TARO/exposures'\n\
             [[probes.counters]]\nname = 'lamp'\nquantity = 'hours'\nunit = 'seconds'\nscale = 3600.0\n\
             file = '{sheet}'\ncolumn = 'hours'\n\
             [[probes.counters]]\nname = 'door'\nquantity = 'cycles'\ncommand = ['{script}']\n\
             [[probes.pattern_files]]\nname = 'product'\nfile = '{definitions}'\n\
             pattern = 'CurDefs=(\\d{{8}})'\ndate = '%Y%m%d'\n\
             [[probes.pattern_files]]\nname = 'scanner'\nfile = '{text}'\npattern = '(.*)'\n\
             [[probes.services]]\nname = 'pacs'\nprocess = 'YAMADA^TARO'\n\
             [[probes.plugins]]\nname = 'room'\ncommand = ['{script}', 'P7654321']\nmetrics = ['load']\n\
             [[probes.textfiles]]\nname = 'export'\nfile = '{prom}'\nmetrics = ['kept']\n\
             [[probes.scrapes]]\nname = 'station'\nurl = 'http://127.0.0.1:{web}/P7654321'\nmetrics = ['kept']\n\
             [[probes.neighbours]]\nname = 'modality'\nhttp = 'http://127.0.0.1:{web}/YAMADA^TARO'\n\
             [[probes.neighbours]]\nname = 'archive'\ndicom = 'YAMADA@127.0.0.1:{web}'\ncalling = 'TARO'\ntimeout = '1s'\n"
        )
    }
}

/// A Nagios plugin whose first line, labels and further lines name patients.
const PLUGIN: &str = "#!/bin/sh\necho \"WARNING - 山田太郎 YAMADA^TARO|load=1;2;3 YAMADA^TARO=1 P7654321=2s \
    '(0010,0010)'=3%\"\necho \"P7654321 | TARO=9\"\nexit 1\n";

/// Metrics, labels and their values out of patients' names.
fn exposition() -> String {
    let series = ["山田太郎", "YAMADA^TARO", "P7654321", "(0010,0010)", "YAMADA"]
        .map(|word| format!("kept{{patient=\"{word}\"}} 1\nkept{{room=\"{word}\",tag=\"x\"}} 2\n"));
    format!("# HELP kept of 山田太郎, YAMADA^TARO\n{}kept{{YAMADA=\"1\"}} 3\nTARO 4\n", series.concat())
}

/// A web server, and nothing else: every request is answered with [`exposition`].
struct Exporter {
    port: u16,
}

impl Exporter {
    /// Its thread ends with the test's process.
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
        let port = listener.local_addr().expect("a bound listener has an address").port();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                std::thread::spawn(move || drop(answer(stream)));
            }
        });
        Self { port }
    }
}

fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let _ = stream.read(&mut [0; 4096])?;
    let body = exposition();
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 200 YAMADA\r\nServer: P7654321\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

/// All that was sent, without envelopes and compression, and the newest record in it.
fn opened(recorder: &Recorder) -> (Vec<u8>, u64) {
    let (mut plain, mut newest) = (Vec::new(), 0);
    for heard in recorder.heard() {
        plain.extend_from_slice(&heard.body);
        let envelope = Envelope::from_bytes(&heard.body).expect("the agent sends envelopes");
        if envelope.payload_type() == ReceivedBatch::TYPE {
            plain.extend(codec::decompress(envelope.body()).expect("a batch is compressed"));
            let received = ReceivedBatch::decode(envelope.body()).expect("the agent's own batch");
            newest = received.batch.records.iter().map(|r| r.id.0).chain([newest]).max().unwrap_or(0);
        } else {
            plain.extend_from_slice(envelope.body());
        }
    }
    (plain, newest)
}

/// Every file below the folder.
fn read_all(folder: &Path, into: &mut Vec<u8>) {
    for entry in fs::read_dir(folder).expect("the agent's folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            read_all(&path, into);
        } else {
            // A file may be renamed while it is looked at.
            into.extend(fs::read(&path).unwrap_or_default());
        }
    }
}

fn contains(bytes: &[u8], word: &str) -> bool {
    bytes.windows(word.len()).any(|part| part == word.as_bytes())
}
