//! The connection over an in-memory stream, with answers that the test decides and time that it moves.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use protocol::ErrorCode;
use protocol::messages::HeartbeatResponse;
use tokio::io::{AsyncWriteExt as _, DuplexStream, duplex};
use tokio::sync::oneshot;

use super::*;
use crate::net::company::{MEMORY, TURN};

const LIMITS: Limits = Limits { frame_bytes: 1 << 20, idle: Some(Duration::from_secs(600)) };

fn body(text: &'static [u8]) -> Response {
    Response::of(vec![Bytes::from_static(text)])
}

fn request(key: i16, correlation: i32) -> Vec<u8> {
    let mut frame = 8_i32.to_be_bytes().to_vec();
    frame.extend_from_slice(&key.to_be_bytes());
    frame.extend_from_slice(&0_i16.to_be_bytes());
    frame.extend_from_slice(&correlation.to_be_bytes());
    frame
}

/// One connection whose dispatch hands out the queued replies, and the client's end of it.
struct Setup {
    replies: Rc<RefCell<VecDeque<Reply>>>,
    dispatched: Rc<Cell<usize>>,
    stop: CancellationToken,
    company: Rc<Company>,
    metrics: Arc<Metrics>,
}

impl Setup {
    fn new(replies: impl IntoIterator<Item = Reply>) -> Self {
        let replies = Rc::new(RefCell::new(replies.into_iter().collect()));
        let (dispatched, company, metrics) = (Rc::default(), Rc::default(), Arc::new(Metrics::new()));
        Self { replies, dispatched, stop: CancellationToken::new(), company, metrics }
    }

    fn connect(&self, buffer: usize) -> (DuplexStream, impl Future<Output = Ended> + use<>) {
        let (client, server) = duplex(buffer);
        let (replies, dispatched) = (Rc::clone(&self.replies), Rc::clone(&self.dispatched));
        let dispatch = move |frame: Bytes| {
            dispatched.set(dispatched.get() + 1);
            let reply = replies.borrow_mut().pop_front().expect("the test gave a reply");
            Ok(Answer { header: frame.slice(4..8), reply })
        };
        let counted = (Arc::clone(&self.metrics), Arc::default());
        let connection =
            Connection::new(server, dispatch, LIMITS, counted, &self.stop, Rc::clone(&self.company));
        (client, connection.run())
    }
}

fn later() -> (oneshot::Sender<Response>, Reply) {
    let (sender, receiver) = oneshot::channel();
    (sender, Reply::Later(Box::pin(async { receiver.await.expect("the test answers") })))
}

/// Length, correlation id and body of the next response.
async fn response(client: &mut DuplexStream) -> (i32, Vec<u8>) {
    let len = usize::try_from(client.read_i32().await.unwrap()).unwrap();
    let mut bytes = vec![0; len];
    client.read_exact(&mut bytes).await.unwrap();
    (i32::from_be_bytes(bytes[..4].try_into().unwrap()), bytes.split_off(4))
}

#[tokio::test(start_paused = true)]
async fn answers_leave_in_request_order_whichever_is_ready_first() {
    let (first, first_reply) = later();
    let (third, third_reply) = later();
    let setup = Setup::new([first_reply, Reply::Now(body(b"two")), third_reply]);
    let (mut client, serve) = setup.connect(1 << 16);
    let talk = async {
        for correlation in 1..=3 {
            client.write_all(&request(0, correlation)).await.unwrap();
        }
        third.send(body(b"three")).unwrap();
        tokio::task::yield_now().await;
        first.send(body(b"one")).unwrap();
        assert_eq!(response(&mut client).await, (1, b"one".to_vec()));
        assert_eq!(response(&mut client).await, (2, b"two".to_vec()));
        assert_eq!(response(&mut client).await, (3, b"three".to_vec()));
        drop(client);
    };
    let (ended, ()) = tokio::join!(serve, talk);
    assert!(matches!(ended, Ended::ByPeer), "{ended:?}");
}

#[tokio::test(start_paused = true)]
async fn no_request_is_begun_while_one_before_it_has_to_ask_somebody() {
    let (asked, answer) = oneshot::channel();
    let work = async move {
        answer.await.unwrap();
        Reply::Now(body(b"one"))
    };
    let (asked_in_vain, never) = oneshot::channel::<()>();
    let silent = async move {
        never.await.unwrap_err();
        Reply::Nothing
    };
    let replies =
        [Reply::Ordered(Box::pin(work)), Reply::Ordered(Box::pin(silent)), Reply::Now(body(b"three"))];
    let setup = Setup::new(replies);
    let (mut client, serve) = setup.connect(1 << 16);
    let talk = async {
        client.write_all(&[request(0, 1), request(0, 2), request(0, 3)].concat()).await.unwrap();
        sleep(Duration::from_secs(1)).await;
        assert_eq!(setup.dispatched.get(), 1, "the first is not done");
        let () = asked.send(()).unwrap();
        assert_eq!(response(&mut client).await, (1, b"one".to_vec()));
        sleep(Duration::from_secs(1)).await;
        assert_eq!(setup.dispatched.get(), 2);
        drop(asked_in_vain);
        assert_eq!(response(&mut client).await, (3, b"three".to_vec()));
        drop(client);
    };
    tokio::join!(serve, talk);
}

#[tokio::test(start_paused = true)]
async fn errors_that_answers_say_are_counted_by_api() {
    let error = |code: ErrorCode| {
        let heartbeat = HeartbeatResponse::default().with_error_code(code.code());
        Response::encode(&heartbeat, 0)
    };
    let (sender, late) = later();
    let setup =
        Setup::new([Reply::Now(error(ErrorCode::UnknownMemberId)), late, Reply::Now(error(ErrorCode::None))]);
    let (mut client, connection) = setup.connect(1024);
    let talk = async {
        for correlation in 1..=3 {
            client.write_all(&request(12, correlation)).await.unwrap();
        }
        sender.send(error(ErrorCode::UnknownMemberId)).unwrap();
        for correlation in 1..=3 {
            assert_eq!(response(&mut client).await.0, correlation);
        }
        drop(client);
    };
    tokio::join!(connection, talk);
    let text = String::from_utf8(setup.metrics.render()).unwrap();
    let lines: Vec<&str> =
        text.lines().filter(|line| line.starts_with("kafka_network_requestmetrics_errors")).collect();
    let line =
        "kafka_network_requestmetrics_errors_total{error=\"UNKNOWN_MEMBER_ID\",request=\"Heartbeat\"} 2";
    assert_eq!(lines, [line]);
}

#[tokio::test(start_paused = true)]
async fn requests_without_answer_take_no_place_in_the_order() {
    let setup = Setup::new([Reply::Nothing, Reply::Now(body(b"two"))]);
    let (mut client, serve) = setup.connect(1 << 16);
    let talk = async {
        client.write_all(&[request(0, 1), request(0, 2)].concat()).await.unwrap();
        assert_eq!(response(&mut client).await, (2, b"two".to_vec()));
        drop(client);
    };
    tokio::join!(serve, talk);
}

#[tokio::test(start_paused = true)]
async fn a_failed_produce_without_answer_closes_after_the_answers_before_it() {
    let (first, first_reply) = later();
    let setup = Setup::new([first_reply, Reply::Close]);
    let (mut client, serve) = setup.connect(1 << 16);
    let talk = async {
        client.write_all(&[request(0, 1), request(0, 2), request(0, 3)].concat()).await.unwrap();
        tokio::task::yield_now().await;
        first.send(body(b"one")).unwrap();
        assert_eq!(response(&mut client).await, (1, b"one".to_vec()));
        assert_eq!(client.read(&mut [0; 1]).await.unwrap(), 0);
    };
    let (ended, ()) = tokio::join!(serve, talk);
    assert!(matches!(ended, Ended::OnPurpose), "{ended:?}");
    assert_eq!(setup.dispatched.get(), 2, "nothing is taken after the failure");
}

/// How much of a large answer goes out before a small one on the same core that is asked for a little later, when the other
/// connection did nothing for `quiet`.
#[tokio::test(start_paused = true)]
async fn an_answer_that_breaks_off_comes_to_its_half_and_nothing_follows() {
    let half = Response { breaks_off: true, ..body(b"12345678") };
    let (_second, second_reply) = later();
    let setup = Setup::new([Reply::Ordered(Box::pin(async { Reply::Now(half) })), second_reply]);
    let (mut client, serve) = setup.connect(1 << 16);
    let talk = async {
        client.write_all(&[request(0, 1), request(0, 2)].concat()).await.unwrap();
        let mut received = Vec::new();
        client.read_to_end(&mut received).await.unwrap();
        let expected = [&12_i32.to_be_bytes()[..], &1_i32.to_be_bytes(), b"12"].concat();
        assert_eq!(received, expected, "the size of all, and half of it");
    };
    let (ended, ()) = tokio::join!(serve, talk);
    assert!(matches!(ended, Ended::OnPurpose), "{ended:?}");
}

async fn sent_before_another(quiet: Duration) -> usize {
    const BODY: usize = 8 * TURN;
    let large = Reply::Now(Response::of(vec![Bytes::from(vec![0; BODY])]));
    let slow = Setup::new([Reply::Now(body(b"first")), large]);
    let quick = Setup { company: Rc::clone(&slow.company), ..Setup::new([Reply::Now(body(b"quick"))]) };
    let (mut slow_client, serve_slow) = slow.connect(2 * BODY);
    let (mut quick_client, serve_quick) = quick.connect(1 << 10);
    let talk = async {
        slow_client.write_all(&request(0, 1)).await.unwrap();
        let serving_slow = tokio::task::spawn_local(serve_slow);
        let serving_quick = tokio::task::spawn_local(serve_quick);
        response(&mut slow_client).await;
        sleep(quiet).await;
        slow_client.write_all(&request(0, 2)).await.unwrap();
        tokio::task::yield_now().await;
        quick_client.write_all(&request(0, 3)).await.unwrap();
        assert_eq!(response(&mut quick_client).await, (3, b"quick".to_vec()));
        // All of it would fit the stream at once.
        let mut sent = vec![0; 2 * BODY];
        let count = slow_client.read(&mut sent).await.unwrap();
        slow_client.read_exact(&mut sent[count..BODY + 8]).await.unwrap();
        drop((slow_client, quick_client));
        assert!(matches!(serving_slow.await.unwrap(), Ended::ByPeer));
        assert!(matches!(serving_quick.await.unwrap(), Ended::ByPeer));
        count.min(BODY)
    };
    tokio::task::LocalSet::new().run_until(talk).await
}

#[tokio::test(start_paused = true)]
async fn a_large_answer_leaves_in_turns_while_others_are_at_work() {
    let count = sent_before_another(Duration::ZERO).await;
    assert!(count <= 3 * TURN, "{count} bytes went out before the quick answer");
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_alone_at_work_takes_no_turns() {
    assert_eq!(sent_before_another(MEMORY).await, 8 * TURN);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_never_reads_is_bounded_by_the_unsent_budget() {
    const BODY: usize = 1 << 20;
    let large = || Reply::Now(Response::of(vec![Bytes::from(vec![0; BODY])]));
    let setup = Setup::new((0..100).map(|_| large()));
    let (mut client, serve) = setup.connect(1 << 16);
    let talk = async {
        for correlation in 0..100 {
            client.write_all(&request(3, correlation)).await.unwrap();
        }
        sleep(Duration::from_secs(60)).await;
        assert!(setup.dispatched.get() <= MOST_UNSENT / BODY + 1, "{}", setup.dispatched.get());
        for correlation in 0..100 {
            assert_eq!(response(&mut client).await.0, correlation);
        }
        drop(client);
    };
    tokio::join!(serve, talk);
    assert_eq!(setup.dispatched.get(), 100, "reading goes on when the client does");
}

#[tokio::test(start_paused = true)]
async fn unanswered_requests_are_bounded() {
    let count = 3 * MOST_IN_FLIGHT;
    let (senders, replies): (Vec<_>, Vec<_>) = (0..count).map(|_| later()).unzip();
    let setup = Setup::new(replies);
    let (mut client, serve) = setup.connect(1 << 16);
    let talk = async {
        for correlation in 0..i32::try_from(count).unwrap() {
            client.write_all(&request(1, correlation)).await.unwrap();
        }
        sleep(Duration::from_secs(1)).await;
        assert_eq!(setup.dispatched.get(), MOST_IN_FLIGHT);
        for (correlation, sender) in senders.into_iter().enumerate() {
            sender.send(body(b"")).unwrap();
            assert_eq!(response(&mut client).await.0, i32::try_from(correlation).unwrap());
        }
        drop(client);
    };
    tokio::join!(serve, talk);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_a_request_closes_the_connection_with_a_guess() {
    for (sent, expected) in [
        (&b"\x16\x03\x01\x02\x00\x01\x00\x01"[..], "it looks like TLS"),
        (b"GET / HTTP/1.1\r\n\r\n", "it looks like HTTP"),
        (&[0xff; 8], "frame size -1 is negative"),
        (&[0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0], "over the limit"),
    ] {
        let setup = Setup::new([]);
        let (mut client, serve) = setup.connect(1 << 16);
        client.write_all(sent).await.unwrap();
        let ended = serve.await;
        assert!(matches!(&ended, Ended::Refused(reason) if reason.contains(expected)), "{ended:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_handler_ends_its_connection() {
    let setup = Setup::new([]);
    let (mut client, serve) = setup.connect(1 << 16);
    client.write_all(&request(3, 1)).await.unwrap();
    assert!(matches!(serve.await, Ended::Panicked));
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_closed_when_its_time_is_over_and_not_while_it_waits_for_an_answer() {
    let (sender, reply) = later();
    let setup = Setup::new([reply]);
    let (mut client, serve) = setup.connect(1 << 16);
    let begin = Instant::now();
    let talk = async {
        client.write_all(&request(1, 1)).await.unwrap();
        sleep(Duration::from_secs(1000)).await;
        sender.send(body(b"late")).unwrap();
        assert_eq!(response(&mut client).await.0, 1);
        client
    };
    let (ended, _client) = tokio::join!(serve, talk);
    assert!(matches!(ended, Ended::Idle), "{ended:?}");
    assert_eq!(begin.elapsed().as_secs(), 1600);
}

#[tokio::test(start_paused = true)]
async fn half_a_request_is_given_up_after_the_stall_time() {
    let setup = Setup::new([]);
    let (mut client, serve) = setup.connect(1 << 16);
    let begin = Instant::now();
    let talk = async {
        sleep(Duration::from_secs(100)).await;
        client.write_all(&request(3, 1)[..5]).await.unwrap();
        client
    };
    let (ended, _client) = tokio::join!(serve, talk);
    assert!(matches!(&ended, Ended::Refused(reason) if reason.contains("did not arrive")), "{ended:?}");
    assert_eq!(begin.elapsed(), Duration::from_secs(100) + STALL);
}

#[tokio::test(start_paused = true)]
async fn shutdown_waits_for_answers_it_owes_and_not_for_parked_fetches() {
    let (produce, produce_reply) = later();
    let (_fetch, fetch_reply) = later();
    let setup = Setup::new([produce_reply, fetch_reply]);
    let (mut client, serve) = setup.connect(1 << 16);
    let talk = async {
        client.write_all(&[request(0, 1), request(1, 2)].concat()).await.unwrap();
        sleep(Duration::from_millis(1)).await;
        setup.stop.cancel();
        sleep(Duration::from_secs(1)).await;
        produce.send(body(b"stored")).unwrap();
        assert_eq!(response(&mut client).await, (1, b"stored".to_vec()));
        assert_eq!(client.read(&mut [0; 1]).await.unwrap(), 0);
    };
    let begin = Instant::now();
    let (ended, ()) = tokio::join!(serve, talk);
    assert!(matches!(ended, Ended::Shutdown), "{ended:?}");
    assert!(begin.elapsed() < LINGER, "{:?}", begin.elapsed());
}

#[tokio::test(start_paused = true)]
async fn shutdown_does_not_wait_longer_than_it_may() {
    let (_never, reply) = later();
    let setup = Setup::new([reply]);
    let (mut client, serve) = setup.connect(1 << 16);
    let talk = async {
        client.write_all(&request(0, 1)).await.unwrap();
        sleep(Duration::from_millis(1)).await;
        setup.stop.cancel();
        Instant::now()
    };
    let (ended, stopped) = tokio::join!(serve, talk);
    assert!(matches!(ended, Ended::Shutdown), "{ended:?}");
    assert_eq!(stopped.elapsed(), LINGER);
}
