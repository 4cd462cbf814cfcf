//! Bytes that no client would send, on raw sockets, at the built binary. Afterwards it runs, it took less than 64 MiB, a
//! healthy client on a connection of its own had every answer right and within a second, and the log has no panic.
//!
//! Always at Onelog, whatever `COMPAT_BROKER` says: Apache Kafka's answers to lies are not ours to prove.
//! `siege` holds the broker and the healthy client; `requests` and `bombs` make the bytes; here they are sent.

#[path = "hostile_frames/bombs.rs"]
mod bombs;
#[path = "hostile_frames/layouts.rs"]
mod layouts;
#[path = "hostile_frames/requests.rs"]
mod requests;
#[path = "hostile_frames/siege.rs"]
mod siege;

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Result;

use bombs::Bomb;
use layouts::{API_VERSIONS, Array, LAYOUTS, NESTED};
use requests::{framed, request};
use siege::{Reaction, Siege};

/// Keys of Kafka's protocol, and some that it does not have.
const FIRST_UNKNOWN_KEY: i16 = 93;
const UNKNOWN_KEYS: [i16; 7] = [93, 94, 100, 1000, i16::MAX, -1, i16::MIN];
/// `socket.request.max.bytes` of the broker.
const LARGEST_FRAME: usize = 100 << 20;
const FEWEST_FRAMES: usize = 200;
const COUNT_OF_ALL: [u8; 4] = [0x7f, 0xff, 0xff, 0xff];
const COMPACT_COUNT_OF_ALL: [u8; 5] = [0xff, 0xff, 0xff, 0xff, 0x0f];

#[test]
fn hostile_frames_cost_no_more_than_their_connection() -> Result<()> {
    let mut siege = Siege::start()?;
    every_key_with_a_body_of_lies(&mut siege)?;
    arrays_that_claim_more_than_there_is(&mut siege)?;
    frames_that_are_none(&mut siege)?;
    claims_of_100_mib_and_silence(&mut siege)?;
    tags_and_varints(&mut siege)?;
    batches_that_lie(&mut siege)?;
    batches_that_explode(&mut siege)?;
    assert!(siege.frames() >= FEWEST_FRAMES, "only {} frames were sent", siege.frames());
    siege.finish()
}

/// A key that is not served gets no answer in any version; a served one may make of the bytes what it can.
fn every_key_with_a_body_of_lies(siege: &mut Siege) -> Result<()> {
    for key in (0..FIRST_UNKNOWN_KEY).chain(UNKNOWN_KEYS) {
        let Some((first, last)) = siege.served(key) else {
            for body in [&COUNT_OF_ALL[..], &COMPACT_COUNT_OF_ALL, &[]] {
                siege.expect_closed(&format!("key {key}, not served"), &request(key, 0, false, body))?;
            }
            continue;
        };
        let flexible_from =
            LAYOUTS.iter().find(|layout| layout.key == key).map(|layout| layout.flexible_from);
        assert!(
            flexible_from.is_some(),
            "the broker serves key {key}: add a row to hostile_frames/layouts.rs"
        );
        for version in first..=last {
            let flexible = flexible_from.is_some_and(|from| version >= from);
            for body in [&COUNT_OF_ALL[..], &COMPACT_COUNT_OF_ALL, &[0xff; 64]] {
                let what = format!("key {key} version {version} with body {body:02x?}");
                siege.expect_reaction(&what, &request(key, version, flexible, body))?;
            }
        }
        for version in [last + 1, i16::MAX, -1, i16::MIN] {
            let what = format!("key {key} version {version}, not served");
            let frame = request(key, version, false, &COUNT_OF_ALL);
            if key == API_VERSIONS {
                siege.expect_reaction(&what, &frame)?;
            } else {
                siege.expect_closed(&what, &frame)?;
            }
        }
    }
    siege.phase("every API key with bodies of lies")
}

/// The first array of every API that has one, and some arrays inside arrays.
fn arrays_that_claim_more_than_there_is(siege: &mut Siege) -> Result<()> {
    for layout in LAYOUTS {
        let Some(Array { version, before }) = layout.array else { continue };
        if siege.served(layout.key).is_none() {
            continue;
        }
        let flexible = version >= layout.flexible_from;
        let send = |tail: &[u8]| request(layout.key, version, flexible, &[before, tail].concat());
        let what = |lie: &str| format!("key {} version {version}, {lie}", layout.key);
        let count = if flexible { &COMPACT_COUNT_OF_ALL[..] } else { &COUNT_OF_ALL };
        siege.expect_closed(&what("array of 2^31-1"), &send(count))?;
        siege.expect_closed(&what("array of 2^31-1 and some"), &send(&[count, &[0; 1000]].concat()))?;
        siege.expect_closed(&what("cut inside the count"), &send(&count[..count.len() - 1]))?;
        siege.expect_closed(
            &what("cut before the array"),
            &request(layout.key, version, flexible, &before[..before.len().saturating_sub(1)]),
        )?;
        // Minus one is null, which some arrays may be.
        let (negative, empty) =
            if flexible { (&[0x80; 6][..], &[1][..]) } else { (&[0x80, 0, 0, 0][..], &[0; 4][..]) };
        siege.expect_reaction(&what("negative count"), &send(negative))?;
        siege.expect_reaction(&what("trailing bytes"), &send(&[empty, &[0xff; 10_000]].concat()))?;
    }
    for (key, version, before) in NESTED {
        let what = format!("key {key} version {version}, inner length of 2^31-1");
        siege.expect_closed(&what, &request(*key, *version, false, &[*before, &COUNT_OF_ALL].concat()))?;
    }
    siege.phase("array counts and cuts")
}

fn frames_that_are_none(siege: &mut Siege) -> Result<()> {
    let sizes: [i32; 14] =
        [i32::MAX, 0x7fff_fff0, 1 << 30, (100 << 20) + 1, 0, 1, 2, 3, 4, 7, -1, -2, -100, i32::MIN];
    for size in sizes {
        let frame = [&size.to_be_bytes()[..], &[0; 100]].concat();
        siege.expect_closed(&format!("size prefix {size}"), &frame)?;
    }
    let strangers: [(&str, &[u8]); 8] = [
        ("TLS client hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 0123456789012345678901234567890"),
        ("HTTP GET", b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: */*\r\n\r\n"),
        ("HTTP POST", b"POST /topics HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}"),
        ("HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        ("SSH banner", b"SSH-2.0-OpenSSH_9.6\r\n"),
        ("RESP", b"*1\r\n$4\r\nPING\r\n"),
        ("all ones", &[0xff; 4096]),
        ("all zeros", &[0; 4096]),
    ];
    for (what, bytes) in strangers {
        siege.expect_closed(what, bytes)?;
    }
    let honest = request(API_VERSIONS, 0, false, &[]);
    let pipelined = [&honest[..], b"GET / HTTP/1.1\r\n\r\n"].concat();
    siege.expect_reaction("a request with HTTP behind it", &pipelined)?;
    for end in 1..honest.len() {
        siege.hang_up("a request cut by its client", &honest[..end])?;
    }
    siege.phase("size prefixes and other protocols")
}

fn claims_of_100_mib_and_silence(siege: &mut Siege) -> Result<()> {
    let size = i32::try_from(LARGEST_FRAME)?.to_be_bytes();
    let produce = request(0, 3, false, b"\xff\xff\x00\x01\0\0\x03\xe8\0\0\0\x01\0\x01t");
    let mut held = Vec::new();
    for number in 0..200 {
        let sent = [&size[..], &produce[4..], &[0; 60_000]].concat();
        let bytes = match number % 3 {
            0 => &sent[..4],
            1 => &sent[..40],
            _ => &sent[..],
        };
        held.push(siege.connect_and_send(bytes)?);
    }
    std::thread::sleep(Duration::from_secs(2));
    siege.phase("200 claims of 100 MiB, held")?;
    drop(held);
    siege.phase("200 claims of 100 MiB, gone")
}

fn tags_and_varints(siege: &mut Siege) -> Result<()> {
    let software = [&[5][..], b"evil", &[2], b"1"].concat();
    let header = &request(API_VERSIONS, 3, false, &[])[4..];
    for tags in [65, 1000, 1_000_000] {
        let section = requests::tagged_fields(tags, usize::MAX);
        let in_body = [header, &[0], &software, &section].concat();
        siege.expect_closed(&format!("{tags} tags in the body"), &framed(&in_body))?;
        let in_header = [header, &section, &software, &[0]].concat();
        siege.expect_closed(&format!("{tags} tags in the header"), &framed(&in_header))?;
    }
    let all = requests::tagged_fields(usize::MAX, LARGEST_FRAME - 100);
    siege.expect_closed("100 MiB of tags in the body", &framed(&[header, &[0], &software, &all].concat()))?;
    siege.expect_closed("100 MiB of tags in the header", &framed(&[header, &all].concat()))?;
    drop(all);

    let varints: [&[u8]; 8] = [
        &[0xff, 0xff, 0xff, 0xff, 0x0f], // 2^32-1 tags
        &[0xff, 0xff, 0xff, 0xff, 0x7f], // 35 bits
        &[0xff; 6],
        &[0xff; 10],
        &[0xff; 1000],
        &[0x80, 0x80, 0x80, 0x80, 0x80, 0x01],
        &[1, 0, 0xff, 0xff, 0xff, 0xff, 0x07], // one tag of 2^31-1 bytes
        &[1, 0xff, 0xff, 0xff, 0xff, 0x7f, 0],
    ];
    for varint in varints {
        let what = format!("varint {:02x?}", &varint[..varint.len().min(10)]);
        siege.expect_closed(&format!("{what} in the header"), &framed(&[header, varint].concat()))?;
        siege.expect_closed(
            &format!("{what} in the body"),
            &framed(&[header, &[0], &software, varint].concat()),
        )?;
    }
    // A zero in five bytes is odd but has one meaning.
    let overlong = [header, &[0x80, 0x80, 0x80, 0x80, 0], &software, &[0]].concat();
    siege.expect_reaction("a zero in five bytes", &framed(&overlong))?;
    siege.phase("tags and varints")
}

fn batches_that_lie(siege: &mut Siege) -> Result<()> {
    siege.create_topic("lies")?;
    for (what, batch) in bombs::lying_batches()? {
        let reaction = siege.expect_reaction(&what, &requests::produce("lies", &batch)?)?;
        if let Reaction::Answered(answer) = reaction {
            let error = requests::produce_error("lies", &answer)?;
            siege.require(error != 0, || format!("{what} was accepted"));
        }
    }
    let whole = bombs::batch(0, 1, &bombs::record(b"value"))?;
    for length in [i32::MAX, 1 << 30, -2, i32::MIN] {
        let frame = requests::produce_claiming("lies", &whole, length)?;
        siege.expect_closed(&format!("records of {length} bytes"), &frame)?;
    }
    let answer = siege.expect_reaction("an honest batch", &requests::produce("lies", &whole)?)?;
    let Reaction::Answered(answer) = answer else { anyhow::bail!("an honest batch got no answer") };
    let error = requests::produce_error("lies", &answer)?;
    siege.require(error == 0, || format!("an honest batch got error {error}"));
    siege.phase("batches that lie")
}

/// Stored as they came, as compressed batches are; then whatever has to look inside is asked for. A compacted topic has
/// to look inside at once, for the keys.
fn batches_that_explode(siege: &mut Siege) -> Result<()> {
    for Bomb { name, batch, unpacked } in bombs::exploding_batches()? {
        siege.create_topic(name)?;
        let what = format!("{name}, {} KiB that claim {} MiB", batch.len() >> 10, unpacked >> 20);
        let produced = siege.expect_reaction(&what, &requests::produce(name, &batch)?)?;
        let Reaction::Answered(answer) = produced else { continue };
        let code = requests::produce_error(name, &answer)?;
        siege.phase(&format!("{what}: error {code}"))?;

        let mut answers = Vec::new();
        for timestamp in [bombs::TIMESTAMP, requests::MAX_TIMESTAMP, 0] {
            let frame = requests::list_offsets(name, timestamp)?;
            answers.extend(siege.attack_in_parallel(
                &format!("{name}: offset for {timestamp}"),
                &frame,
                8,
            )?);
        }
        let found = answers.iter().map(|answer| requests::list_offsets_answer(name, answer));
        let found = found.collect::<Result<BTreeSet<_>>>()?;
        // The batch was looked into, or refused to be; passed over it was not.
        siege.require(found.iter().all(|(code, offset)| *code != 0 || *offset == 0), || {
            format!("{name}: a look for offset 0 by time found {found:?} (error, offset)")
        });
        siege.phase(&format!("{name}: offsets by time, (error, offset) {found:?}"))?;

        let compacted = format!("{name}-compacted");
        siege.create_compacted_topic(&compacted)?;
        let frame = requests::produce(&compacted, &batch)?;
        let answers = siege.attack_in_parallel(&compacted, &frame, 4)?;
        let codes = answers.iter().map(|answer| requests::produce_error(&compacted, answer));
        let codes = codes.collect::<Result<BTreeSet<_>>>()?;
        siege.require(!codes.contains(&0), || format!("{compacted}: a record without a key was accepted"));
        siege.phase(&format!("{compacted}: error {codes:?}"))?;
    }
    Ok(())
}
