//! Behind proxies: the PROXY protocol and `X-Forwarded-For`, believed only from whom it may be.

use crate::{
    authority::Authority,
    support::{
        WAIT,
        clients::mqttjs_at,
        raw::{Came, Raw, connect_packet},
    },
    world::{Doors, daemon, free_port, mosquitto, open, shell, subscriber},
};

const TRUSTED: &str = "proxy_protocol = true\ntrusted_proxies = [\"127.0.0.1\", \"10.0.0.0/8\"]\n";

fn knock(doors: &Doors, bytes: &[u8]) -> Raw {
    let mut raw = Raw::open(([127, 0, 0, 1], doors.ports[0]).into());
    raw.send(bytes);
    raw
}

/// A header of version 2 for 192.0.2.7:4660 with `tlvs`.
fn version_2(tlvs: &[u8]) -> Vec<u8> {
    let len = u16::try_from(12 + tlvs.len()).expect("a short header");
    let fixed = [b"\r\n\r\n\0\r\nQUIT\n\x21\x11", &len.to_be_bytes()[..]].concat();
    [&fixed[..], &[192, 0, 2, 7, 192, 0, 2, 1, 0x12, 0x34, 7, 0x5B], tlvs].concat()
}

#[test]
fn a_trusted_proxy_says_where_clients_come_from() {
    let mut doors = open(&[&format!("kind = \"tcp\"\n{TRUSTED}")]);
    for header in [b"PROXY TCP4 192.0.2.7 192.0.2.1 4660 1883\r\n".to_vec(), version_2(b"\x04\x00\x02xx")] {
        let mut client = knock(&doors, &[&header[..], &connect_packet("client", 60)].concat());
        client.await_connack("client");
        let mut wrong = knock(&doors, &[&header[..], b"\xC0\x00"].concat());
        doors.await_log(&["the first packet is not CONNECT", "peer=192.0.2.7:4660"]);
        assert_eq!(wrong.next_within(WAIT), Came::Closed);
    }
    let mut health = knock(&doors, b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00");
    health.connect("health");
    knock(&doors, &connect_packet("without", 60));
    doors.await_log(&["no PROXY header, but the address is in trusted_proxies"]);
    knock(&doors, b"PROXY TCP4 nonsense\r\n");
    doors.await_log(&["a PROXY header that is not valid"]);
}

#[test]
fn others_are_not_believed() {
    let strangers = "proxy_protocol = true\ntrusted_proxies = [\"10.0.0.0/8\"]\n";
    let mut doors = open(&[&format!("kind = \"any\"\n{strangers}")]);
    knock(&doors, b"PROXY TCP4 192.0.2.7 192.0.2.1 4660 1883\r\n");
    doors.await_log(&["the Client speaks the PROXY protocol; listener `any`", "peer=127.0.0.1:"]);
    knock(&doors, &connect_packet("direct", 60)).await_connack("direct");
    let request = "-H 'X-Forwarded-For: 192.0.2.9' -o /dev/null";
    shell(&format!("curl -s {request} http://127.0.0.1:{}/page", doors.ports[0]));
    doors.await_log(&["an HTTP request for a path where there is nothing", "peer=127.0.0.1:"]);
}

#[test]
fn haproxy_passes_on_addresses_and_ends_tls() {
    let authority = Authority::new("CA");
    let (server, client) = (authority.server(), authority.client("device-7", 7));
    let read = |path| std::fs::read_to_string(path).expect("it was written");
    let pem = authority.write("both.pem", &(read(&server.certificate) + &read(&server.key)));
    let through = format!("kind = \"tls\"\n{TRUSTED}{}", server.settings());
    let mut doors = open(&[&format!("kind = \"tcp\"\n{TRUSTED}"), &through]);
    let (plain, tls, passing, ca) = (free_port(), free_port(), free_port(), authority.ca_file());
    let config = format!(
        "defaults\n mode tcp\n timeout connect 5s\n timeout client 30s\n timeout server 30s\n\
         listen plain\n bind 127.0.0.1:{plain}\n server a 127.0.0.1:{port} send-proxy\n\
         listen tls\n bind 127.0.0.1:{tls} ssl crt {} ca-file {} verify optional\n \
         server a 127.0.0.1:{port} send-proxy-v2-ssl-cn\n\
         listen passing\n bind 127.0.0.1:{passing}\n server a 127.0.0.1:{} send-proxy-v2\n",
        pem.display(),
        ca.display(),
        doors.ports[1],
        port = doors.ports[0],
    );
    let file = authority.write("haproxy.cfg", &config);
    let mut haproxy = daemon("haproxy", &["-db", "-V", "-f"], &file);
    haproxy.await_line("its start", |line| {
        line.contains("Using epoll()") || line.contains("orked") || line.contains("uccess")
    });
    let mut receiver = subscriber(plain, "-A 127.0.0.5 -t through/#");
    let own = format!("--cafile {} {}", ca.display(), client.options());
    mosquitto("mosquitto_pub", tls, &format!("{own} -q 2 -t through/tls -m came")).assert_success();
    receiver.await_line("the message", |line| line == "came");
    // TLS from end to end, with a header before it.
    let options = format!("--cafile {} -q 1 -t through/all -m passed", ca.display());
    mosquitto("mosquitto_pub", passing, &options).assert_success();
    receiver.await_line("the message", |line| line == "passed");
    shell(&format!("printf '\\300\\000' | curl -s --interface 127.0.0.5 telnet://127.0.0.1:{plain}"));
    doors.await_log(&["the first packet is not CONNECT", "peer=127.0.0.5:"]);
}

#[test]
fn nginx_passes_on_websockets() {
    let authority = Authority::new("CA");
    let mut doors = open(&["kind = \"ws\"\ntrusted_proxies = [\"127.0.0.1\"]\n"]);
    let port = free_port();
    let folder = authority.folder().display();
    let config = format!(
        "daemon off; master_process off; pid {folder}/pid; error_log stderr notice; events {{}}\n\
         http {{ access_log off; client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;\n\
         uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;\n\
         server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://127.0.0.1:{};\n\
         proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;\n\
         proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; }} }} }}\n",
        doors.ports[0]
    );
    let file = authority.write("nginx.conf", &config);
    let mut nginx = daemon("nginx", &["-c"], &file);
    nginx.await_line("its start", |line| {
        line.contains("using the \"epoll\" event method") || line.contains("start")
    });
    for scenario in ["everyQosArrives", "bigPayloadsArrive"] {
        mqttjs_at("ws", port, &authority.ca_file(), scenario, "5.0");
    }
    let request = format!(
        "curl -s -o /dev/null -H 'X-Forwarded-For: 203.0.113.9' --interface 127.0.0.6 http://127.0.0.1:{port}/page"
    );
    shell(&request);
    doors.await_log(&["a path where there is nothing", "peer=127.0.0.6:0"]);
}
