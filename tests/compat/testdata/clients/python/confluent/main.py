"""Drives confluent-kafka, which carries librdkafka."""
import time

import confluent_kafka as ck
from confluent_kafka import admin as ad

import proto
from proto import emit, stopped


def produce(r):
    conf = {"bootstrap.servers": r["addr"], "compression.type": r["compression"], "linger.ms": 5}
    if r["mode"] == "ordinary":
        conf["acks"] = "all"
    if r["mode"] == "idempotent":
        conf["enable.idempotence"] = True
    p = ck.Producer(conf)
    failed = []

    def report(i):
        def told(err, msg):
            if err:
                failed.append(err)
            else:
                emit("acked", index=i, offset=msg.offset())
        return told

    for i in range(r["first"], r["first"] + r["count"]):
        p.produce(r["topic"], proto.value(i), proto.key(i), r["partition"], on_delivery=report(i),
                  timestamp=r["time"] + i * 1000, headers=[("n", str(i).encode())])
    if p.flush(30) or failed:
        raise RuntimeError(f"not delivered: {failed[:1]}")


def consumer(r):
    return ck.Consumer({"bootstrap.servers": r["addr"], "group.id": r.get("group") or "unused", "auto.offset.reset": "earliest", "enable.auto.commit": False,
                        "heartbeat.interval.ms": 500, "session.timeout.ms": 10000, "fetch.wait.max.ms": 100})


def say(m):
    proto.record(m.partition(), m.offset(), m.timestamp()[1], m.key(), m.value(), m.headers())


def consume(r):
    c = consumer(r)
    at = ck.TopicPartition(r["topic"], r["partition"], r["offset"])
    if r.get("op") == "time":
        at.offset = r["time"]
        at = c.offsets_for_times([at], timeout=20)[0]
    c.assign([at])
    deadline, n = time.time() + 30, 0
    while n < r["count"]:
        m = c.poll(0.5)
        if m is None:
            if time.time() > deadline:
                raise TimeoutError("not enough records in 30 s")
            continue
        if m.error():
            raise RuntimeError(m.error())
        say(m)
        n += 1
    c.close()


def group(r):
    c = consumer(r)
    c.subscribe([r["topic"]], on_assign=lambda _, ps: emit("assigned", partitions=[p.partition for p in ps]), on_revoke=lambda _, ps: emit("assigned", partitions=[]))
    while not stopped.is_set():
        m = c.poll(0.1)
        if m is None or m.error():
            continue
        say(m)
        c.commit(message=m, asynchronous=False)
        emit("committed")
    c.close()


def admin(r):
    a = ad.AdminClient({"bootstrap.servers": r["addr"]})
    op, topic, name = r["op"], r.get("topic"), r.get("group")
    tp = ck.TopicPartition(topic, r["partition"]) if topic else None
    res = ad.ConfigResource(ad.ResourceType.TOPIC, topic) if topic else None
    out = ""
    if op == "create-topic":
        a.create_topics([ad.NewTopic(topic, r["partitions"], 1)])[topic].result(20)
    elif op == "describe-topic":
        out = len(a.describe_topics(ck.TopicCollection([topic]))[topic].result(20).partitions)
    elif op == "add-partitions":
        a.create_partitions([ad.NewPartitions(topic, r["partitions"])])[topic].result(20)
    elif op == "alter-config":
        res.add_incremental_config(ad.ConfigEntry("retention.ms", r["value"], incremental_operation=ad.AlterConfigOpType.SET))
        a.incremental_alter_configs([res])[res].result(20)
    elif op == "describe-config":
        out = a.describe_configs([res])[res].result(20)["retention.ms"].value
    elif op == "list-offsets":
        out = a.list_offsets({tp: ad.OffsetSpec.latest()})[tp].result(20).offset
    elif op == "delete-topic":
        a.delete_topics([topic])[topic].result(20)
    elif op == "list-groups":
        out = str(any(g.group_id == name for g in a.list_consumer_groups().result(20).valid))
    elif op == "describe-group":
        out = a.describe_consumer_groups([name])[name].result(20).state.name
    elif op == "group-offsets":
        out = a.list_consumer_group_offsets([ck.ConsumerGroupTopicPartitions(name, [tp])])[name].result(20).topic_partitions[0].offset
    elif op == "delete-group":
        a.delete_consumer_groups([name])[name].result(20)
    else:
        raise proto.Unsupported(op)
    emit("value", value=str(out))


def survive(r):
    p = ck.Producer({"bootstrap.servers": r["addr"]})

    def report(i):
        return lambda err, _: emit("failed", index=i, error=str(err)) if err else emit("acked", index=i)

    i = 0
    while not stopped.is_set():
        p.produce(r["topic"], str(i).encode(), on_delivery=report(i))
        p.poll(0)
        i += 1
        time.sleep(0.002)
    p.flush(60)


proto.main({"info": lambda r: emit("info", value=ck.__version__), "produce": produce, "consume": consume, "group": group, "admin": admin, "survive": survive})
