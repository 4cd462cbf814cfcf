// The verbs that read. kafkajs reads only as a member of a group, so reading by hand makes a group of its own and
// seeks; the partitions that were not asked for are paused.
'use strict'

const { randomUUID } = require('crypto')

const CALL_MS = 30000
const encode = bytes => (bytes === null || bytes === undefined ? null : bytes.toString('base64'))
const pause = milliseconds => new Promise(done => setTimeout(done, milliseconds))

function received(partition, message) {
  const headers = []
  for (const [name, value] of Object.entries(message.headers || {})) {
    for (const one of Array.isArray(value) ? value : [value]) headers.push([name, encode(one)])
  }
  return {
    partition,
    offset: Number(message.offset),
    timestamp: Number(message.timestamp),
    key: encode(message.key),
    value: encode(message.value),
    headers,
  }
}

// Resolves to the partitions of the next assignment.
function joined(consumer, topic) {
  return new Promise((done, failed) => {
    consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => done(payload.memberAssignment[topic] || []))
    consumer.on(consumer.events.CRASH, ({ payload }) => payload.restart || failed(payload.error))
  })
}

// Reads one partition from `offset`, and hands each record to `take`, until the consumer is disconnected.
async function readFrom(consumer, { topic, partition, offset }, take) {
  await consumer.connect()
  await consumer.subscribe({ topics: [topic], fromBeginning: true })
  const assigned = joined(consumer, topic)
  let sought = false
  await consumer.run({
    autoCommit: false,
    eachMessage: async ({ partition: from, message }) => {
      if (sought && from === partition && Number(message.offset) >= offset) take(received(from, message))
    },
  })
  const others = (await assigned).filter(one => one !== partition)
  if (others.length > 0) consumer.pause([{ topic, partitions: others }])
  consumer.seek({ topic, partition, offset: String(offset) })
  sought = true
}

module.exports = kafka => {
  let member = null

  async function withAdmin(call) {
    const admin = kafka.admin()
    await admin.connect()
    try {
      return await call(admin)
    } finally {
      await admin.disconnect()
    }
  }

  async function marks({ topic, partition }) {
    const found = await withAdmin(admin => admin.fetchTopicOffsets(topic))
    return found.find(one => one.partition === partition)
  }

  async function consume({ topic, partition, offset, count, timeout_ms }) {
    const records = []
    const consumer = kafka.consumer({ groupId: `assigned-by-hand-${randomUUID()}`, maxWaitTimeInMs: 200 })
    await readFrom(consumer, { topic, partition, offset }, record => records.push(record))
    const deadline = Date.now() + timeout_ms
    while (records.length < count && Date.now() < deadline) await pause(10)
    await consumer.disconnect()
    return records.slice(0, count)
  }

  async function offsetForTime({ topic, partition, timestamp }) {
    const found = await withAdmin(admin => admin.fetchTopicOffsetsByTimestamp(topic, timestamp))
    return Number(found.find(one => one.partition === partition).offset)
  }

  async function watermarks(request) {
    const { low, high } = await marks(request)
    return [Number(low), Number(high)]
  }

  async function longPoll({ topic, partition, rounds, max_wait_ms }) {
    const receipts = []
    const { high } = await marks({ topic, partition })
    const consumer = kafka.consumer({
      groupId: `long-poll-${randomUUID()}`,
      maxWaitTimeInMs: max_wait_ms,
      minBytes: 1,
      heartbeatInterval: 500,
    })
    await readFrom(consumer, { topic, partition, offset: Number(high) }, () => receipts.push(performance.now()))
    const producer = kafka.producer({ createPartitioner: require('kafkajs').Partitioners.DefaultPartitioner })
    await producer.connect()
    await pause(1500)
    const latencies = []
    for (let round = 0; round < rounds; round++) {
      await pause(150)
      await producer.send({ topic, acks: -1, messages: [{ partition, value: 'ping' }] })
      const acknowledged = performance.now()
      while (receipts.length <= round && performance.now() - acknowledged < CALL_MS) await pause(1)
      if (receipts.length <= round) throw new Error('a record was acknowledged and not received')
      latencies.push(Math.max(0, receipts[round] - acknowledged))
    }
    await producer.disconnect()
    await consumer.disconnect()
    return latencies
  }

  async function groupJoin({ group, topic, session_timeout_ms }) {
    const consumer = kafka.consumer({
      groupId: group,
      sessionTimeout: session_timeout_ms,
      rebalanceTimeout: 10000,
      heartbeatInterval: 500,
      maxWaitTimeInMs: 200,
    })
    member = { consumer, topic, assignment: [], records: [], positions: new Map() }
    await consumer.connect()
    await consumer.subscribe({ topics: [topic], fromBeginning: true })
    consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
      member.assignment = payload.memberAssignment[topic] || []
    })
    consumer.on(consumer.events.REBALANCING, () => {
      member.assignment = []
    })
    // Not awaited: it resolves only once the member is in the group, which takes the other members' polls.
    consumer
      .run({
        autoCommit: false,
        eachMessage: async ({ partition, message }) => {
          member.records.push(received(partition, message))
          member.positions.set(partition, Number(message.offset) + 1)
        },
      })
      .catch(error => console.error(error))
    return {}
  }

  async function groupPoll({ timeout_ms }) {
    await pause(timeout_ms)
    return { assignment: member.assignment, records: member.records.splice(0) }
  }

  async function groupCommit() {
    const offsets = [...member.positions].map(([partition, offset]) => ({
      topic: member.topic,
      partition,
      offset: String(offset),
    }))
    if (offsets.length > 0) await member.consumer.commitOffsets(offsets)
    member.positions.clear()
    return {}
  }

  async function groupLeave() {
    await member.consumer.disconnect()
    member = null
    return {}
  }

  return {
    consume,
    offset_for_time: offsetForTime,
    watermarks,
    long_poll: longPoll,
    group_join: groupJoin,
    group_poll: groupPoll,
    group_commit: groupCommit,
    group_leave: groupLeave,
  }
}
