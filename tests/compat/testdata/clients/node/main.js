// Drives kafkajs. Its zstd codec is Node's own, where Node has one.
const readline = require('readline')
const zlib = require('zlib')
const { Kafka, CompressionTypes, CompressionCodecs, logLevel } = require('kafkajs')
CompressionCodecs[CompressionTypes.Snappy] = require('kafkajs-snappy')
const LZ4 = require('kafkajs-lz4')
CompressionCodecs[CompressionTypes.LZ4] = new LZ4().codec

let stopped = false
class Unsupported extends Error {}
const emit = (event, fields) => process.stdout.write(JSON.stringify({ event, ...fields }) + '\n')
const sleep = (ms) => new Promise((done) => setTimeout(done, ms))
const connect = (r) => new Kafka({ brokers: [r.addr], logLevel: logLevel.NOTHING })

if (zlib.zstdCompressSync) {
  CompressionCodecs[CompressionTypes.ZSTD] = () => ({
    compress: async (encoder) => zlib.zstdCompressSync(encoder.buffer),
    decompress: async (buffer) => zlib.zstdDecompressSync(buffer),
  })
}

const codec = (name) => {
  const type = { none: CompressionTypes.None, gzip: CompressionTypes.GZIP, snappy: CompressionTypes.Snappy, lz4: CompressionTypes.LZ4, zstd: CompressionTypes.ZSTD }[name]
  if (name === 'zstd' && !zlib.zstdCompressSync) throw new Unsupported(`kafkajs has no zstd of its own, and Node ${process.versions.node} neither`)
  return type
}

const produce = async (r) => {
  const compression = codec(r.compression)
  const p = connect(r).producer(r.mode === 'idempotent' ? { idempotent: true } : {})
  await p.connect()
  const messages = []
  for (let i = r.first; i < r.first + r.count; i++) {
    messages.push({ partition: r.partition, key: `k${i % 7}`, value: `value ${i} `.repeat(1 + (i % 50)), headers: { n: `${i}` }, timestamp: `${r.time + i * 1000}` })
  }
  const [res] = await p.send({ topic: r.topic, messages, compression, ...(r.mode === 'ordinary' ? { acks: -1 } : {}) })
  messages.forEach((_, i) => emit('acked', { index: r.first + i, offset: Number(res.baseOffset) + i }))
  await p.disconnect()
}

const record = (partition, m) => {
  const text = (b) => (b ? b.toString() : '')
  emit('record', { partition, offset: Number(m.offset), time: Number(m.timestamp), key: text(m.key), value: text(m.value), header: text(m.headers && m.headers.n) })
}

let unique = 0
const consume = async (r) => {
  const k = connect(r)
  let at = `${r.offset}`
  if (r.op === 'time') {
    const adm = k.admin()
    await adm.connect()
    at = (await adm.fetchTopicOffsetsByTimestamp(r.topic, r.time)).find((o) => o.partition === r.partition).offset
    await adm.disconnect()
  }
  const c = k.consumer({ groupId: `consume-${process.pid}-${r.topic}-${unique++}`, maxWaitTimeInMs: 100 })
  await c.connect()
  await c.subscribe({ topics: [r.topic], fromBeginning: true })
  let n = 0
  const all = new Promise((done) => {
    c.run({
      autoCommit: false,
      eachMessage: async ({ partition, message }) => {
        if (n >= r.count || Number(message.offset) < Number(at)) return
        record(partition, message)
        if (++n === r.count) done()
      },
    })
  })
  c.seek({ topic: r.topic, partition: r.partition, offset: at })
  const late = sleep(30000).then(() => { if (n < r.count) throw new Error('not enough records in 30 s') })
  await Promise.race([all, late])
  await c.disconnect()
}

const group = async (r) => {
  const c = connect(r).consumer({ groupId: r.group, sessionTimeout: 10000, heartbeatInterval: 500, maxWaitTimeInMs: 100 })
  c.on(c.events.GROUP_JOIN, (e) => emit('assigned', { partitions: e.payload.memberAssignment[r.topic] || [] }))
  await c.connect()
  await c.subscribe({ topics: [r.topic], fromBeginning: true })
  await c.run({
    autoCommit: false,
    eachMessage: async ({ topic, partition, message }) => {
      record(partition, message)
      await c.commitOffsets([{ topic, partition, offset: `${Number(message.offset) + 1}` }])
      emit('committed')
    },
  })
  while (!stopped) await sleep(50)
  await c.disconnect()
}

const admin = async (r) => {
  const a = connect(r).admin()
  await a.connect()
  const topic = r.topic
  const ops = {
    'create-topic': async () => { await a.createTopics({ topics: [{ topic, numPartitions: r.partitions, replicationFactor: 1 }] }) },
    'describe-topic': async () => (await a.fetchTopicMetadata({ topics: [topic] })).topics[0].partitions.length,
    'add-partitions': async () => { await a.createPartitions({ topicPartitions: [{ topic, count: r.partitions }] }) },
    'alter-config': async () => { await a.alterConfigs({ validateOnly: false, resources: [{ type: 2, name: topic, configEntries: [{ name: 'retention.ms', value: r.value }] }] }) },
    'describe-config': async () => (await a.describeConfigs({ includeSynonyms: false, resources: [{ type: 2, name: topic, configNames: ['retention.ms'] }] })).resources[0].configEntries[0].configValue,
    'list-offsets': async () => (await a.fetchTopicOffsets(topic)).find((o) => o.partition === r.partition).high,
    'delete-topic': async () => { await a.deleteTopics({ topics: [topic] }) },
    'list-groups': async () => (await a.listGroups()).groups.some((g) => g.groupId === r.group),
    'describe-group': async () => (await a.describeGroups([r.group])).groups[0].state,
    'group-offsets': async () => (await a.fetchOffsets({ groupId: r.group, topics: [topic] }))[0].partitions.find((o) => o.partition === r.partition).offset,
    'delete-group': async () => { await a.deleteGroups([r.group]) },
  }
  try {
    if (!ops[r.op]) throw new Unsupported(r.op)
    const value = await ops[r.op]()
    emit('value', { value: value === undefined ? '' : `${value}` })
  } finally {
    await a.disconnect()
  }
}

const survive = async (r) => {
  const p = connect(r).producer()
  await p.connect()
  const pending = new Set()
  for (let i = 0; !stopped; i++) {
    const told = p.send({ topic: r.topic, messages: [{ value: `${i}` }] })
      .then(() => emit('acked', { index: i }), (e) => emit('failed', { index: i, error: e.message }))
      .then(() => pending.delete(told))
    pending.add(told)
    while (pending.size > 200 && !stopped) await sleep(2)
    await sleep(2)
  }
  await Promise.race([Promise.all(pending), sleep(60000)])
  await p.disconnect()
}

const verbs = { info: async () => emit('info', { value: require('kafkajs/package.json').version }), produce, consume, group, admin, survive }
let last = Promise.resolve()
const answer = async (r) => {
  try {
    if (!verbs[r.verb]) throw new Unsupported(r.verb)
    await verbs[r.verb](r)
    emit('end')
  } catch (e) {
    emit('end', e instanceof Unsupported ? { unsupported: e.message } : { error: `${e.name}: ${e.message}` })
  }
}
const input = readline.createInterface({ input: process.stdin })
input.on('line', (line) => { last = last.then(() => answer(JSON.parse(line))) })
input.on('close', () => { stopped = true; last.then(() => process.exit(0)) })
