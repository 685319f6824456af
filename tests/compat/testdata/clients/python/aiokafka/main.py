"""Drives aiokafka."""
import asyncio
import time

import aiokafka
from aiokafka import admin as ad
from aiokafka.structs import TopicPartition

import proto
from proto import emit, stopped


async def produce(r):
    conf = {"bootstrap_servers": r["addr"], "compression_type": None if r["compression"] == "none" else r["compression"], "linger_ms": 5}
    if r["mode"] == "ordinary":
        conf["acks"] = "all"
    if r["mode"] == "idempotent":
        conf["enable_idempotence"] = True
    async with aiokafka.AIOKafkaProducer(**conf) as p:
        sent = [(i, await p.send(r["topic"], proto.value(i), proto.key(i), r["partition"], r["time"] + i * 1000, [("n", str(i).encode())]))
                for i in range(r["first"], r["first"] + r["count"])]
        for i, f in sent:
            emit("acked", index=i, offset=(await asyncio.wait_for(f, 30)).offset)


def consumer(r):
    return aiokafka.AIOKafkaConsumer(bootstrap_servers=r["addr"], group_id=r.get("group"), auto_offset_reset="earliest", enable_auto_commit=False,
                                     heartbeat_interval_ms=500, session_timeout_ms=10000, fetch_max_wait_ms=100)


def say(m):
    proto.record(m.partition, m.offset, m.timestamp, m.key, m.value, m.headers)


async def consume(r):
    async with consumer(r) as c:
        tp = TopicPartition(r["topic"], r["partition"])
        c.assign([tp])
        c.seek(tp, (await c.offsets_for_times({tp: r["time"]}))[tp].offset if r.get("op") == "time" else r["offset"])
        for _ in range(r["count"]):
            say(await asyncio.wait_for(c.getone(), 30))


class Listener(aiokafka.ConsumerRebalanceListener):
    async def on_partitions_revoked(self, revoked):
        emit("assigned", partitions=[])

    async def on_partitions_assigned(self, assigned):
        emit("assigned", partitions=[p.partition for p in assigned])


async def group(r):
    async with consumer(r) as c:
        c.subscribe([r["topic"]], listener=Listener())
        while not stopped.is_set():
            got = [m for batch in (await c.getmany(timeout_ms=200)).values() for m in batch]
            for m in got:
                say(m)
            if got:
                await c.commit()
                emit("committed")


async def admin(r):
    a = ad.AIOKafkaAdminClient(bootstrap_servers=r["addr"])
    await a.start()
    try:
        emit("value", value=str(await admin_value(a, r)))
    finally:
        await a.close()


def checked(res):
    for e in getattr(res, "topic_errors", None) or getattr(res, "topic_error_codes", None) or []:
        if e[1]:
            raise RuntimeError(str(e))


async def admin_value(a, r):
    op, topic, name = r["op"], r.get("topic"), r.get("group")
    if op == "create-topic":
        checked(await a.create_topics([ad.NewTopic(topic, r["partitions"], 1)]))
    elif op == "describe-topic":
        return len((await a.describe_topics([topic]))[0]["partitions"])
    elif op == "add-partitions":
        checked(await a.create_partitions({topic: ad.NewPartitions(r["partitions"])}))
    elif op == "alter-config":
        await a.alter_configs([ad.config_resource.ConfigResource(ad.config_resource.ConfigResourceType.TOPIC, topic, {"retention.ms": r["value"]})])
    elif op == "describe-config":
        res = await a.describe_configs([ad.config_resource.ConfigResource(ad.config_resource.ConfigResourceType.TOPIC, topic)])
        return next(e[1] for e in res[0].resources[0][4] if e[0] == "retention.ms")
    elif op == "list-offsets":
        tp = TopicPartition(topic, r["partition"])
        async with aiokafka.AIOKafkaConsumer(bootstrap_servers=r["addr"]) as c:
            return (await c.end_offsets([tp]))[tp]
    elif op == "delete-topic":
        checked(await a.delete_topics([topic]))
    elif op == "list-groups":
        return any(g[0] == name for g in await a.list_consumer_groups())
    elif op == "describe-group":
        return (await a.describe_consumer_groups([name]))[0].groups[0][2]
    elif op == "group-offsets":
        tp = TopicPartition(topic, r["partition"])
        return (await a.list_consumer_group_offsets(name, partitions=[tp]))[tp].offset
    else:
        raise proto.Unsupported(op + ": the admin client has no such call")
    return ""


async def survive(r):
    async with aiokafka.AIOKafkaProducer(bootstrap_servers=r["addr"]) as p:
        def told(n):
            return lambda f: emit("failed", index=n, error=str(f.exception())) if f.exception() else emit("acked", index=n)
        i = 0
        while not stopped.is_set():
            try:
                (await p.send(r["topic"], str(i).encode())).add_done_callback(told(i))
            except Exception as e:
                emit("failed", index=i, error=str(e))
            i += 1
            await asyncio.sleep(0.002)
        await asyncio.wait_for(p.flush(), 60)


def run(f):
    return lambda r: asyncio.run(f(r))


proto.main({"info": lambda r: emit("info", value=aiokafka.__version__), "produce": run(produce), "consume": run(consume), "group": run(group), "admin": run(admin), "survive": run(survive)})
