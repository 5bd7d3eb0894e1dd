//! Network namespaces: three machines on one, joined by two wires.
//!
//! ```text
//! left 10.77.1.2 ---- 10.77.1.1 hub 10.77.2.1 ---- 10.77.2.2 right       the hub is 10.77.0.1 to both
//! ```
//!
//! Holds: everything is made in namespaces of this test's own and goes away with it; the machine's
//! own network is not touched.

use std::process::Command;

/// The hub's address from everywhere.
pub const HUB: &str = "10.77.0.1";

/// See the module's head.
#[derive(Debug)]
pub struct Networks {
    prefix: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Node {
    Hub,
    Left,
    Right,
}

impl Networks {
    /// # Panics
    /// Where namespaces cannot be made, with what is missing.
    pub fn new() -> Self {
        let networks = Self { prefix: format!("tk{}", std::process::id()) };
        for node in [Node::Hub, Node::Left, Node::Right] {
            ip(&["netns", "add", &networks.name(node)]);
            networks.inside(node, &["link", "set", "lo", "up"]);
        }
        networks.inside(Node::Hub, &["addr", "add", &format!("{HUB}/32"), "dev", "lo"]);
        for (node, net) in [(Node::Left, 1), (Node::Right, 2)] {
            let wire = format!("w{net}");
            let name = networks.name(node);
            let peer = ["link", "add", &wire, "type", "veth", "peer", "name", "wire", "netns", &name];
            networks.inside(Node::Hub, &peer);
            networks.inside(Node::Hub, &["addr", "add", &format!("10.77.{net}.1/24"), "dev", &wire]);
            networks.inside(Node::Hub, &["link", "set", &wire, "up"]);
            networks.inside(node, &["addr", "add", &format!("10.77.{net}.2/24"), "dev", "wire"]);
            networks.inside(node, &["link", "set", "wire", "up"]);
            networks.inside(node, &["route", "add", "default", "via", &format!("10.77.{net}.1")]);
        }
        networks
    }

    pub fn name(&self, node: Node) -> String {
        format!("{}-{node:?}", self.prefix).to_lowercase()
    }

    /// Pulls a wire out, or puts it in again.
    pub fn connect(&self, node: Node, connected: bool) {
        let wire = if node == Node::Left { "w1" } else { "w2" };
        self.inside(Node::Hub, &["link", "set", wire, if connected { "up" } else { "down" }]);
    }

    fn inside(&self, node: Node, args: &[&str]) {
        ip(&[&["-n", &self.name(node)], args].concat());
    }
}

impl Default for Networks {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Networks {
    fn drop(&mut self) {
        for node in [Node::Hub, Node::Left, Node::Right] {
            // One that was never made is gone already.
            let _ = Command::new("ip").args(["netns", "del", &self.name(node)]).output();
        }
    }
}

fn ip(args: &[&str]) {
    const NEEDS: &str =
        "network namespaces need Debian's iproute2 and root with CAP_SYS_ADMIN and CAP_NET_ADMIN";
    let output = Command::new("ip").args(args).output();
    let output = output.unwrap_or_else(|e| panic!("`ip` cannot be started ({e}); {NEEDS}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "`ip {}` failed: {}; {NEEDS}", args.join(" "), said.trim());
}
