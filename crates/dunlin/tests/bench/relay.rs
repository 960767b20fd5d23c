//! A Server that passes messages on as it should, but for one thing that it does wrong: what `dunlin bench` has to find.

use std::{
    collections::HashMap,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

/// What is done to every hundredth message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    Drop,
    Double,
    /// It comes after the next one.
    Swap,
    /// A byte behind the head of its payload is another.
    Change,
    /// The connection is closed instead.
    Close,
    /// CONNACK refuses with this byte.
    Refuse(u8),
    /// The answer to CONNECT is no MQTT.
    Nonsense,
}

/// Subscribers by exact Topic Name.
type Subscribers = Arc<Mutex<HashMap<Vec<u8>, Vec<TcpStream>>>>;

/// Starts a relay on a free port of the loopback. It ends with the test.
pub(crate) fn start(fault: Fault) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("the loopback has a free port");
    let address = listener.local_addr().expect("a listener has an address");
    let subscribers = Subscribers::default();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.expect("a connection is accepted");
            let subscribers = subscribers.clone();
            thread::spawn(move || serve(stream, &subscribers, fault));
        }
    });
    address
}

/// Serves one connection until it ends.
fn serve(mut stream: TcpStream, subscribers: &Subscribers, fault: Fault) {
    let mut count = 0;
    let mut held = Vec::new();
    while let Some((first, packet, body_at)) = read_packet(&mut stream) {
        let body = &packet[body_at..];
        match first >> 4 {
            1 => stream.write_all(&connack(body[6] == 5, fault)).unwrap_or(()),
            3 => {
                count += 1;
                let topic_len = usize::from(u16::from_be_bytes([body[0], body[1]]));
                let topic = &body[2..2 + topic_len];
                let mut subscribers = subscribers.lock().expect("no other connection panics");
                let to = subscribers.entry(topic.to_vec()).or_default();
                for bytes in mistreat(fault, count, packet.clone(), &mut held) {
                    // A subscriber that has gone needs no messages.
                    to.iter_mut().for_each(|stream| stream.write_all(&bytes).unwrap_or(()));
                }
                if fault == Fault::Close && count == 100 {
                    return;
                }
            }
            8 => {
                let topic_len = usize::from(u16::from_be_bytes([body[2], body[3]]));
                let own = stream.try_clone().expect("a socket can be shared in this process");
                let mut subscribers = subscribers.lock().expect("no other connection panics");
                subscribers.entry(body[4..4 + topic_len].to_vec()).or_default().push(own);
                stream.write_all(&[0x90, 3, body[0], body[1], 0]).unwrap_or(());
            }
            12 => stream.write_all(&[0xD0, 0]).unwrap_or(()),
            _ => {}
        }
    }
}

fn connack(has_properties: bool, fault: Fault) -> Vec<u8> {
    match fault {
        Fault::Nonsense => b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(),
        Fault::Refuse(code) if has_properties => vec![0x20, 3, 0, code, 0],
        Fault::Refuse(code) => vec![0x20, 2, 0, code],
        _ if has_properties => vec![0x20, 3, 0, 0, 0],
        _ => vec![0x20, 2, 0, 0],
    }
}

/// What goes out for message `count`.
fn mistreat(fault: Fault, count: usize, mut packet: Vec<u8>, held: &mut Vec<u8>) -> Vec<Vec<u8>> {
    if !held.is_empty() {
        return vec![packet, std::mem::take(held)];
    }
    if !count.is_multiple_of(100) {
        return vec![packet];
    }
    match fault {
        Fault::Drop => Vec::new(),
        Fault::Double => vec![packet.clone(), packet],
        Fault::Swap => {
            *held = packet;
            Vec::new()
        }
        Fault::Change => {
            let last = packet.len() - 1;
            packet[last] ^= 0x55;
            vec![packet]
        }
        Fault::None | Fault::Close | Fault::Refuse(_) | Fault::Nonsense => vec![packet],
    }
}

/// The first byte, the whole packet, and where its body begins; nothing at the end of the stream.
fn read_packet(stream: &mut TcpStream) -> Option<(u8, Vec<u8>, usize)> {
    let mut packet = vec![0; 2];
    stream.read_exact(&mut packet).ok()?;
    let mut len = usize::from(packet[1] & 0x7F);
    while packet[packet.len() - 1] & 0x80 != 0 {
        packet.push(0);
        let at = packet.len() - 1;
        stream.read_exact(&mut packet[at..]).ok()?;
        len |= usize::from(packet[at] & 0x7F) << (7 * (at - 1));
    }
    let body_at = packet.len();
    packet.resize(body_at + len, 0);
    stream.read_exact(&mut packet[body_at..]).ok()?;
    Some((packet[0], packet, body_at))
}
