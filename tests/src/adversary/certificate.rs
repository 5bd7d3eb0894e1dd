//! Bad certificates, both ways: shown to the collector as a device's, and to a device as the
//! collector's.
//!
//! Holds: most are signed with the collector's own root key, so that each fails for the one thing
//! that is wrong with it. The TLS library's own checks of what it is told to show are passed by.

use crate::Bed;
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, ExtendedKeyUsagePurpose as Use, IsCa,
    Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::{
    client::ResolvesClientCert,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use std::{fs, process::Command, sync::Arc, time::Duration};
use tenken_common::{
    time::{Clock as _, SystemClock},
    tls::Identity,
};

/// The collector's keys as `init` made them.
const FIRST_KEYS: &str = "collector/pki/000001";
const DAY: Duration = Duration::from_secs(86_400);

/// What is shown, and what is wrong with it.
#[derive(Debug)]
pub struct Case {
    pub what: &'static str,
    pub chain: Vec<CertificateDer<'static>>,
    pub key: PrivateKeyDer<'static>,
}

/// A root with its key.
struct Root {
    der: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

impl Root {
    /// The collector's own.
    fn of(bed: &Bed) -> Self {
        let read = |name: &str| fs::read_to_string(bed.dir().join(FIRST_KEYS).join(name)).unwrap();
        let der = CertificateDer::from_pem_slice(read("root.pem").as_bytes()).unwrap();
        let key = KeyPair::from_pem(&read("root.key.pem")).unwrap();
        Self { issuer: Issuer::from_ca_cert_der(&der, key).unwrap(), der }
    }

    /// Somebody's.
    fn of_a_stranger(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let der = params.self_signed(&key).unwrap().der().clone();
        Self { issuer: Issuer::new(params, key), der }
    }

    /// Below `above`, as a certificate authority.
    fn below(above: &Self) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = dated(CertificateParams::default(), DAY, DAY);
        params.distinguished_name.push(DnType::CommonName, "between");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let der = params.signed_by(&key, &above.issuer).unwrap().der().clone();
        Self { issuer: Issuer::new(params, key), der }
    }
}

/// Which side shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Device,
    Collector,
}

impl Side {
    fn own_use(self) -> Use {
        if self == Self::Device { Use::ClientAuth } else { Use::ServerAuth }
    }

    fn other_use(self) -> Use {
        if self == Self::Device { Use::ServerAuth } else { Use::ClientAuth }
    }
}

fn dated(mut params: CertificateParams, before: Duration, after: Duration) -> CertificateParams {
    let now = u64::try_from(SystemClock::new().wall().as_secs()).unwrap();
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = epoch + Duration::from_secs(now) - before;
    params.not_after = epoch + Duration::from_secs(now) + after;
    params
}

fn good(side: Side, name: &str) -> CertificateParams {
    let names = if side == Side::Collector { vec!["localhost".to_owned()] } else { vec![] };
    let mut params = dated(CertificateParams::new(names).unwrap(), DAY, DAY);
    params.distinguished_name.push(DnType::CommonName, name);
    params.extended_key_usages = vec![side.own_use()];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params
}

fn pkcs8(key: &KeyPair) -> PrivateKeyDer<'static> {
    PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()))
}

/// A certificate that the device would trust as the collector's: the man in the middle's.
pub fn server_identity(bed: &Bed) -> Identity {
    let (root, key) = (Root::of(bed), KeyPair::generate().unwrap());
    let leaf = good(Side::Collector, "localhost").signed_by(&key, &root.issuer).unwrap();
    Identity { chain: vec![leaf.der().clone(), root.der], key: pkcs8(&key) }
}

/// Bad certificates of a side; `name` is the true one's, `true_identity` its chain and key.
pub fn cases(bed: &Bed, side: Side, name: &str, true_identity: &Identity) -> Vec<Case> {
    let root = Root::of(bed);
    let stranger = Root::of_a_stranger("somebody");
    let root_name = common_name(&root.der);
    let twin = Root::of_a_stranger(&root_name);
    let mut cases = Vec::new();
    let mut under = |what, by: &Root, edit: &dyn Fn(&mut CertificateParams)| {
        let key = KeyPair::generate().unwrap();
        let mut params = good(side, name);
        edit(&mut params);
        let leaf = params.signed_by(&key, &by.issuer).unwrap().der().clone();
        cases.push(Case { what, chain: vec![leaf, by.der.clone()], key: pkcs8(&key) });
    };
    under("of a stranger's root", &stranger, &|_| {});
    under("of a root with the same name", &twin, &|_| {});
    under("of a root with the same name and the true key's id", &twin, &|p| {
        p.use_authority_key_identifier_extension = true;
    });
    under("expired two seconds ago", &root, &|p| {
        *p = dated(p.clone(), DAY, Duration::ZERO);
        p.not_after -= Duration::from_secs(2);
    });
    under("expired long ago", &root, &|p| {
        (p.not_before, p.not_after) = (rcgen::date_time_ymd(1980, 1, 1), rcgen::date_time_ymd(1981, 1, 1));
    });
    under("not valid before tomorrow", &root, &|p| {
        let later = dated(p.clone(), Duration::ZERO, DAY);
        (p.not_before, p.not_after) = (later.not_after, later.not_after + DAY);
    });
    under("valid in a hundred years", &root, &|p| {
        (p.not_before, p.not_after) = (rcgen::date_time_ymd(2126, 1, 1), rcgen::date_time_ymd(2127, 1, 1));
    });
    under("valid from late to early", &root, &|p| std::mem::swap(&mut p.not_before, &mut p.not_after));
    under("for the other side's use", &root, &|p| p.extended_key_usages = vec![side.other_use()]);
    under("for signing code", &root, &|p| p.extended_key_usages = vec![Use::CodeSigning]);
    under("for mail", &root, &|p| p.extended_key_usages = vec![Use::EmailProtection]);
    under("for any use", &root, &|p| p.extended_key_usages = vec![Use::Any]);
    under("for signing answers about revocation", &root, &|p| p.extended_key_usages = vec![Use::OcspSigning]);
    under("of a certificate authority", &root, &|p| p.is_ca = IsCa::Ca(BasicConstraints::Unconstrained));
    under("with a critical extension that nobody knows", &root, &|p| {
        let mut unknown = CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99_999, 1], vec![5, 0]);
        unknown.set_criticality(true);
        p.custom_extensions = vec![unknown];
    });
    if side == Side::Collector {
        let named = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
            CertificateParams::new(names).unwrap().subject_alt_names
        };
        under("for another host", &root, &|p| p.subject_alt_names = named(&["rsc.example.jp"]));
        under("with a common name only", &root, &|p| p.subject_alt_names = vec![]);
        under("for an address only", &root, &|p| p.subject_alt_names = named(&["127.0.0.1"]));
        under("for hosts below", &root, &|p| p.subject_alt_names = named(&["*.localhost"]));
        under("for a host that begins like it", &root, &|p| {
            p.subject_alt_names = named(&["localhost.example.jp"]);
        });
    } else {
        under("never issued to anybody", &root, &|_| {});
        under("without a use, never issued", &root, &|p| p.extended_key_usages = vec![]);
        under("of another name, never issued", &root, &|p| {
            p.distinguished_name.push(DnType::CommonName, "00");
        });
    }
    cases.extend(chains(side, name, &root, &stranger));
    cases.extend(bytes(true_identity));
    cases.extend(by_openssl(bed, side, name));
    cases
}

/// Something is wrong with the chain.
fn chains(side: Side, name: &str, root: &Root, stranger: &Root) -> Vec<Case> {
    let key = KeyPair::generate().unwrap();
    let leaf = |issuer: &Issuer<'_, KeyPair>| good(side, name).signed_by(&key, issuer).unwrap().der().clone();
    let own = good(side, name).self_signed(&key).unwrap().der().clone();
    let mut as_root = good(side, name);
    as_root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let own_root = as_root.self_signed(&key).unwrap().der().clone();

    // Who has the root's key may put an authority below it, of which a device takes certificates:
    // the library does not ask for a root's path length. A collector asks whom it was issued to.
    let between = Root::below(root);
    // A device's certificate is no authority, whatever it signs.
    let holder = KeyPair::generate().unwrap();
    let held = good(Side::Device, "a device").signed_by(&holder, &root.issuer).unwrap().der().clone();
    let by_holder = Issuer::new(good(Side::Device, "a device"), holder);
    let mut deep = vec![Root::below(root)];
    for _ in 0..12 {
        deep.push(Root::below(deep.last().unwrap()));
    }
    let long: Vec<_> = deep.iter().rev().map(|r| r.der.clone()).collect();
    let mut all = vec![
        ("signed by itself", vec![own.clone()]),
        ("signed by itself, with the true root behind", vec![own, root.der.clone()]),
        ("signed by itself as an authority", vec![own_root]),
        ("below a device", vec![leaf(&by_holder), held, root.der.clone()]),
        ("below twelve authorities", [vec![leaf(&deep.last().unwrap().issuer)], long].concat()),
        ("a stranger's, with the true root behind", vec![leaf(&stranger.issuer), root.der.clone()]),
        ("the root first", vec![root.der.clone(), leaf(&root.issuer)]),
        ("the root alone", vec![root.der.clone()]),
    ];
    if side == Side::Device {
        all.push(("below an authority", vec![leaf(&between.issuer), between.der.clone(), root.der.clone()]));
    }
    all.into_iter().map(|(what, chain)| Case { what, chain, key: pkcs8(&key) }).collect()
}

/// The true certificate, and not quite.
fn bytes(identity: &Identity) -> Vec<Case> {
    let true_leaf = identity.chain[0].to_vec();
    let (middle, end) = (true_leaf.len() / 2, true_leaf.len());
    let with = |at: usize| {
        let mut bytes = true_leaf.clone();
        bytes[at] ^= 1;
        bytes
    };
    let altered = [
        ("a bit of the signature flipped", with(end - 5)),
        ("a bit of the content flipped", with(middle)),
        ("cut off", true_leaf[..end - 10].to_vec()),
        ("with more behind", [true_leaf.as_slice(), &[0; 8]].concat()),
        ("no certificate at all", b"certificate".to_vec()),
        ("empty", vec![]),
    ];
    let mut cases: Vec<Case> = altered
        .into_iter()
        .map(|(what, leaf)| {
            let chain = [vec![CertificateDer::from(leaf)], identity.chain[1..].to_vec()].concat();
            Case { what, chain, key: identity.key.clone_key() }
        })
        .collect();
    let other = KeyPair::generate().unwrap();
    cases.push(Case {
        what: "the true one without its key",
        chain: identity.chain.clone(),
        key: pkcs8(&other),
    });
    cases
}

/// What rcgen does not make: signed under the true root by OpenSSL.
fn by_openssl(bed: &Bed, side: Side, name: &str) -> Vec<Case> {
    let folder = bed.dir().join(format!("openssl-{side:?}"));
    fs::create_dir_all(&folder).unwrap();
    let pki = bed.dir().join(FIRST_KEYS);
    let run = |args: &[&str]| {
        let output =
            Command::new("openssl").args(args).current_dir(&folder).output().expect("Debian's openssl");
        assert!(output.status.success(), "openssl {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    let usage = if side == Side::Device { "clientAuth" } else { "serverAuth" };
    fs::write(folder.join("ext"), format!("extendedKeyUsage={usage}\nsubjectAltName=DNS:localhost\n"))
        .unwrap();
    let (root, root_key) = (pki.join("root.pem"), pki.join("root.key.pem"));
    let (root, root_key) = (root.to_str().unwrap(), root_key.to_str().unwrap());
    let subject = format!("/CN={name}");
    let made = |what: &'static str, new_key: &[&str], extra: &[&str]| {
        run(&[&["genpkey", "-out", "key.pem"], new_key].concat());
        run(&["req", "-new", "-key", "key.pem", "-subj", &subject, "-out", "csr.pem"]);
        let sign = [
            "x509", "-req", "-in", "csr.pem", "-CA", root, "-CAkey", root_key, "-days", "1", "-out",
            "leaf.pem",
        ];
        run(&[&sign, extra].concat());
        let read = |name: &str| fs::read(folder.join(name)).unwrap();
        let leaf = CertificateDer::from_pem_slice(&read("leaf.pem")).unwrap();
        let root = CertificateDer::from_pem_slice(&fs::read(root).unwrap()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(&read("key.pem")).unwrap();
        Case { what, chain: vec![leaf, root], key }
    };
    let p256 = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"];
    let mut cases = vec![
        made("of X.509 version 1", &p256, &["-sha256"]),
        made("signed with SHA-1", &p256, &["-sha1", "-extfile", "ext"]),
    ];
    if side == Side::Device {
        let rsa = ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"];
        cases.push(made("with an RSA key, never issued", &rsa, &["-sha256", "-extfile", "ext"]));
        let p384 = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"];
        cases.push(made("with a P-384 key, never issued", &p384, &["-sha256", "-extfile", "ext"]));
    }
    // The library of the test does not sign with these; what counts is that the public key is refused.
    for (what, new_key) in [
        ("with an RSA key of 1,024 bits", &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024"][..]),
        ("with a P-224 key", &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-224"]),
        ("with a P-521 key", &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-521"]),
        ("with an Ed448 key", &["-algorithm", "ED448"]),
    ] {
        let weak = made(what, new_key, &["-sha256", "-extfile", "ext"]);
        let key = KeyPair::generate().unwrap();
        cases.push(Case { key: pkcs8(&key), ..weak });
    }
    cases
}

fn common_name(der: &CertificateDer<'_>) -> String {
    // `Tenken root ` and eight digits, as the only text of that form.
    let mark = b"Tenken root ";
    let at = der.windows(mark.len()).position(|w| w == mark).expect("the root's name");
    String::from_utf8_lossy(&der[at..at + mark.len() + 8]).into_owned()
}

/// Shows a case whatever is wrong with it.
#[derive(Debug)]
pub struct Shown(Arc<CertifiedKey>);

impl Shown {
    pub fn new(case: &Case) -> Arc<Self> {
        let key =
            rustls::crypto::ring::sign::any_supported_type(&case.key).expect("a key of the test's library");
        Arc::new(Self(Arc::new(CertifiedKey::new(case.chain.clone(), key))))
    }
}

impl ResolvesClientCert for Shown {
    fn resolve(&self, _: &[&[u8]], _: &[rustls::SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}
