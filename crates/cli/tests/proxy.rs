//! The counting proxy over real sockets.

use farshore_cli::demo::proxy::{Counters, Proxy, Said, run};
use std::net::SocketAddr;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

const ANY: &str = "127.0.0.1:0";

/// A listener that answers every byte with two.
async fn doubler() -> SocketAddr {
    let listener = TcpListener::bind(ANY).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                while let Ok(byte) = stream.read_u8().await {
                    if stream.write_all(&[byte, byte]).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

async fn exchange(stream: &mut TcpStream, bytes: usize) {
    stream.write_all(&vec![7; bytes]).await.unwrap();
    stream.read_exact(&mut vec![0; 2 * bytes]).await.unwrap();
}

async fn is_closed(stream: &mut TcpStream) -> bool {
    matches!(stream.read(&mut [0]).await, Ok(0) | Err(_))
}

async fn proxy() -> Proxy {
    Proxy::start(ANY.parse().unwrap(), doubler().await).await.unwrap()
}

#[tokio::test]
async fn every_byte_is_counted_in_its_direction() {
    let proxy = proxy().await;
    let mut first = TcpStream::connect(proxy.address()).await.unwrap();
    exchange(&mut first, 1000).await;
    let mut second = TcpStream::connect(proxy.address()).await.unwrap();
    exchange(&mut second, 5).await;
    let wanted = Counters { connections: 2, refused: 0, open: 2, bytes_there: 1005, bytes_back: 2010 };
    assert_eq!(proxy.counters(), wanted);
}

#[tokio::test]
async fn a_cut_closes_everything_and_a_healed_line_carries_again() {
    let proxy = proxy().await;
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    exchange(&mut stream, 10).await;
    proxy.cut();
    assert!(is_closed(&mut stream).await);
    let mut refused = TcpStream::connect(proxy.address()).await.unwrap();
    assert!(is_closed(&mut refused).await);
    assert_eq!((proxy.counters().connections, proxy.counters().refused), (1, 1));
    proxy.heal();
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    exchange(&mut stream, 10).await;
    assert_eq!((proxy.counters().bytes_there, proxy.counters().bytes_back), (20, 40));
}

#[tokio::test]
async fn a_listener_that_is_away_or_moves_is_followed() {
    let gone = TcpListener::bind(ANY).await.unwrap().local_addr().unwrap();
    let proxy = Proxy::start(ANY.parse().unwrap(), gone).await.unwrap();
    let mut refused = TcpStream::connect(proxy.address()).await.unwrap();
    assert!(is_closed(&mut refused).await);
    assert_eq!(proxy.counters().refused, 1);
    proxy.redirect(doubler().await);
    exchange(&mut TcpStream::connect(proxy.address()).await.unwrap(), 3).await;
}

#[tokio::test]
async fn an_end_of_one_side_reaches_the_other() {
    let proxy = proxy().await;
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    exchange(&mut stream, 1).await;
    stream.shutdown().await.unwrap();
    assert!(is_closed(&mut stream).await);
}

#[tokio::test]
async fn the_process_takes_orders_and_ends_with_its_input() {
    let (orders, input) = tokio::io::duplex(1024);
    let (output, answers) = tokio::io::duplex(4096);
    let running = tokio::spawn(run(ANY.parse().unwrap(), doubler().await, BufReader::new(input), output));
    let (mut orders, mut answers) = (orders, BufReader::new(answers).lines());
    let first: Said = serde_json::from_str(&answers.next_line().await.unwrap().unwrap()).unwrap();
    let Said::Listening(address) = first else { panic!("{first:?}") };
    let mut stream = TcpStream::connect(address).await.unwrap();
    exchange(&mut stream, 4).await;
    for (order, wanted) in [
        ("count", "{\"counters\":{\"connections\":1,\"refused\":0,\"open\":1,\"bytes_there\":4,\"bytes_back\":8}}"),
        ("dance", "{\"unknown\":\"dance\"}"),
        ("to nowhere", "{\"unknown\":\"to nowhere\"}"),
    ] {
        orders.write_all(format!("{order}\n").as_bytes()).await.unwrap();
        assert_eq!(answers.next_line().await.unwrap().unwrap(), wanted);
    }
    orders.write_all(b"cut\n").await.unwrap();
    answers.next_line().await.unwrap().unwrap();
    assert!(is_closed(&mut stream).await);
    drop(orders);
    running.await.unwrap().unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}
