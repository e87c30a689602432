//! A relay of TCP connections that holds every byte back for a time, both ways: what `netem` does where the kernel has it.
//!
//! - Connections come by a `REDIRECT` of the packet filter, which keeps where they were meant to go; the relay asks the socket.
//! - Bytes keep their order, and a chunk waits from the moment at which it was read: bytes do not wait for each other.
//! - Its own connections begin at [`PORTS`], which the filter lets through.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// Below what the kernel gives to connections that name no port.
pub const PORTS: RangeInclusive<u16> = 20_000..=29_999;
static NEXT: AtomicU16 = AtomicU16::new(0);
const CHUNK: usize = 64 << 10;
/// Bytes on their way in one direction: beyond, the sender waits, as on a long wire.
const ON_THE_WAY: usize = 16 << 20;

/// Relays until it is ended.
pub async fn run(listen: &str, one_way: Duration) -> std::io::Result<()> {
    let listener = TcpListener::bind(listen).await?;
    loop {
        let (near, _) = listener.accept().await?;
        tokio::spawn(async move {
            // What cannot be reached is a connection that ends; who began it sees that.
            let _ = relay(near, one_way).await;
        });
    }
}

async fn relay(near: TcpStream, one_way: Duration) -> std::io::Result<()> {
    let meant = socket2::SockRef::from(&near).original_dst_v4()?;
    let far = connect(meant.as_socket().ok_or(std::io::ErrorKind::AddrNotAvailable)?).await?;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
    let _ = tokio::join!(delayed(near_in, far_out, one_way), delayed(far_in, near_out, one_way));
    Ok(())
}

async fn connect(to: SocketAddr) -> std::io::Result<TcpStream> {
    let ports = PORTS.end() - PORTS.start() + 1;
    let mut failed = std::io::ErrorKind::AddrInUse.into();
    for _ in 0..ports {
        let port = PORTS.start() + NEXT.fetch_add(1, Ordering::Relaxed) % ports;
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.bind(([0, 0, 0, 0], port).into())?;
        match socket.connect(to).await {
            Err(error)
                if matches!(error.kind(), std::io::ErrorKind::AddrInUse | std::io::ErrorKind::AddrNotAvailable) =>
            {
                failed = error;
            }
            other => return other,
        }
    }
    Err(failed)
}

/// One direction: ends when its sender has, and tells the receiver so after the delay.
async fn delayed(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, one_way: Duration) -> std::io::Result<()> {
    let (chunks, mut due) = tokio::sync::mpsc::unbounded_channel::<(Instant, Vec<u8>)>();
    let room = Semaphore::new(ON_THE_WAY);
    let read = async {
        loop {
            let mut chunk = vec![0; CHUNK];
            let count = from.read(&mut chunk).await?;
            if count == 0 {
                break;
            }
            chunk.truncate(count);
            room.acquire_many(count as u32).await.expect("it is never closed").forget();
            if chunks.send((Instant::now() + one_way, chunk)).is_err() {
                break;
            }
        }
        drop(chunks);
        Ok::<(), std::io::Error>(())
    };
    let write = async {
        while let Some((at, chunk)) = due.recv().await {
            tokio::time::sleep_until(at).await;
            to.write_all(&chunk).await?;
            room.add_permits(chunk.len());
        }
        tokio::time::sleep(one_way).await;
        to.shutdown().await
    };
    // An error of one ends both.
    tokio::try_join!(read, write).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn bytes_come_in_their_order_and_not_before_their_time() {
        let one_way = Duration::from_millis(40);
        let pair = async || {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let (one, other) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
            (one.unwrap(), other.unwrap().0)
        };
        let ((mut sender, near), (far, mut receiver)) = (pair().await, pair().await);
        let (near_in, _near_out) = near.into_split();
        let (_far_in, far_out) = far.into_split();
        let relayed = tokio::spawn(delayed(near_in, far_out, one_way));
        let sent: Vec<u8> = (0..200_000u32).map(|at| at as u8).collect();
        let began = Instant::now();
        let mut first = [0];
        let (_, read) = tokio::join!(sender.write_all(&sent), receiver.read_exact(&mut first));
        read.unwrap();
        assert!(began.elapsed() >= one_way);
        drop(sender);
        let mut rest = Vec::new();
        receiver.read_to_end(&mut rest).await.unwrap();
        assert_eq!([&first[..], &rest].concat(), sent);
        relayed.await.unwrap().unwrap();
    }
}
