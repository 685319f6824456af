//! Drives rskafka, which has no groups, no idempotence and always acks=all.
use chrono::{DateTime, Utc};
use rskafka::client::partition::{Compression, OffsetAt, PartitionClient, UnknownTopicHandling};
use rskafka::client::{Client, ClientBuilder};
use rskafka::record::Record;
use serde_json::{json, Value};
use std::collections::BTreeMap;
use std::io::{BufRead, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

type Failure = Box<dyn std::error::Error + Send + Sync>;

static STOPPED: AtomicBool = AtomicBool::new(false);

/// What the client has no support for.
#[derive(Debug)]
struct Unsupported(String);

impl std::fmt::Display for Unsupported {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unsupported {}

fn unsupported<T>(what: &str) -> Result<T, Failure> {
    Err(Box::new(Unsupported(what.to_string())))
}

fn emit(v: Value) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{v}");
    let _ = out.flush();
}

fn text<'a>(r: &'a Value, field: &str) -> &'a str {
    r[field].as_str().unwrap_or("")
}

fn number(r: &Value, field: &str) -> i64 {
    r[field].as_i64().unwrap_or(0)
}

fn at(ms: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(ms).unwrap_or_default()
}

async fn connect(r: &Value) -> Result<Client, Failure> {
    Ok(ClientBuilder::new(vec![text(r, "addr").to_string()]).build().await?)
}

async fn partition(r: &Value) -> Result<PartitionClient, Failure> {
    let (topic, index) = (text(r, "topic"), number(r, "partition") as i32);
    Ok(connect(r).await?.partition_client(topic, index, UnknownTopicHandling::Retry).await?)
}

async fn produce(r: &Value) -> Result<(), Failure> {
    if text(r, "mode") == "idempotent" {
        return unsupported("idempotence");
    }
    let compression = match text(r, "compression") {
        "none" => Compression::NoCompression,
        "gzip" => Compression::Gzip,
        "snappy" => Compression::Snappy,
        "lz4" => Compression::Lz4,
        "zstd" => Compression::Zstd,
        other => return unsupported(other),
    };
    let (first, count, time) = (number(r, "first"), number(r, "count"), number(r, "time"));
    let records = (first..first + count)
        .map(|i| Record {
            key: Some(format!("k{}", i % 7).into_bytes()),
            value: Some(format!("value {i} ").repeat(1 + (i % 50) as usize).into_bytes()),
            headers: BTreeMap::from([("n".to_string(), i.to_string().into_bytes())]),
            timestamp: at(time + i * 1000),
        })
        .collect();
    let offsets = partition(r).await?.produce(records, compression).await?;
    for (n, offset) in offsets.iter().enumerate() {
        emit(json!({"event": "acked", "index": first + n as i64, "offset": offset}));
    }
    Ok(())
}

async fn consume(r: &Value) -> Result<(), Failure> {
    let p = partition(r).await?;
    let mut next = number(r, "offset");
    if text(r, "op") == "time" {
        next = p.get_offset(OffsetAt::Timestamp(at(number(r, "time")))).await?;
    }
    let (mut left, deadline) = (number(r, "count"), Instant::now() + Duration::from_secs(30));
    while left > 0 {
        if Instant::now() > deadline {
            return Err("not enough records in 30 s".into());
        }
        let (records, _) = p.fetch_records(next, 1..1_000_000, 200).await?;
        for m in records.into_iter().take(left as usize) {
            let string = |b: Option<Vec<u8>>| String::from_utf8(b.unwrap_or_default()).unwrap_or_default();
            let header = m.record.headers.get("n").cloned();
            emit(json!({"event": "record", "partition": number(r, "partition"), "offset": m.offset, "time": m.record.timestamp.timestamp_millis(),
                "key": string(m.record.key), "value": string(m.record.value), "header": string(header)}));
            next = m.offset + 1;
            left -= 1;
        }
    }
    Ok(())
}

async fn admin(r: &Value) -> Result<(), Failure> {
    let topic = text(r, "topic");
    let value = match text(r, "op") {
        "create-topic" => {
            connect(r).await?.controller_client()?.create_topic(topic, number(r, "partitions") as i32, 1, 10_000).await?;
            String::new()
        }
        "delete-topic" => {
            connect(r).await?.controller_client()?.delete_topic(topic, 10_000).await?;
            String::new()
        }
        "describe-topic" => {
            let topics = connect(r).await?.list_topics().await?;
            topics.iter().find(|t| t.name == topic).map_or(0, |t| t.partitions.len()).to_string()
        }
        "list-offsets" => partition(r).await?.get_offset(OffsetAt::Latest).await?.to_string(),
        other => return unsupported(&format!("{other}: the client has no such call")),
    };
    emit(json!({"event": "value", "value": value}));
    Ok(())
}

async fn survive(r: &Value) -> Result<(), Failure> {
    let p = partition(r).await?;
    let mut i = 0;
    while !STOPPED.load(Ordering::Relaxed) {
        let record = Record { key: None, value: Some(i.to_string().into_bytes()), headers: BTreeMap::new(), timestamp: Utc::now() };
        match p.produce(vec![record], Compression::NoCompression).await {
            Ok(_) => emit(json!({"event": "acked", "index": i})),
            Err(e) => emit(json!({"event": "failed", "index": i, "error": e.to_string()})),
        }
        i += 1;
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    Ok(())
}

async fn answer(r: &Value) -> Result<(), Failure> {
    match text(r, "verb") {
        "info" => {
            emit(json!({"event": "info", "value": "0.6.0"}));
            Ok(())
        }
        "produce" => produce(r).await,
        "consume" => consume(r).await,
        "admin" => admin(r).await,
        "survive" => survive(r).await,
        verb => unsupported(&format!("{verb}: the client has no such thing")),
    }
}

fn main() -> Result<(), Failure> {
    let runtime = tokio::runtime::Runtime::new()?;
    let (lines, requests) = std::sync::mpsc::channel::<Value>();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if let Ok(r) = serde_json::from_str(&line) {
                let _ = lines.send(r);
            }
        }
        STOPPED.store(true, Ordering::Relaxed);
    });
    for r in requests {
        match runtime.block_on(answer(&r)) {
            Ok(()) => emit(json!({"event": "end"})),
            Err(e) if e.is::<Unsupported>() => emit(json!({"event": "end", "unsupported": e.to_string()})),
            Err(e) => emit(json!({"event": "end", "error": e.to_string()})),
        }
    }
    Ok(())
}
