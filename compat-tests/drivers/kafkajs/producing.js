// The verbs `produce` and `load_*`.
'use strict'

const { Partitioners } = require('kafkajs')
const { TYPES } = require('./codecs')

const decode = text => (text === null ? null : Buffer.from(text, 'base64'))

function headersOf(record) {
  // kafkajs holds headers in an object: values of one name in a list, names in the order of their first value.
  const headers = {}
  for (const [name, value] of record.headers) {
    if (name in headers) headers[name].push(decode(value))
    else headers[name] = [decode(value)]
  }
  return headers
}

function messageOf(record) {
  const message = { key: decode(record.key), value: decode(record.value), headers: headersOf(record) }
  if (record.partition !== null) message.partition = record.partition
  if (record.timestamp !== null) message.timestamp = String(record.timestamp)
  return message
}

// One request; kafkajs tells only each partition's base offset, so the others are counted on from it.
async function send(producer, records, compression) {
  const topic = records[0].topic
  const results = await producer.send({ topic, acks: -1, compression, messages: records.map(messageOf) })
  const next = new Map(results.map(one => [one.partition, Number(one.baseOffset)]))
  return records.map(record => {
    const partition = record.partition === null ? results[0].partition : record.partition
    const offset = next.get(partition)
    next.set(partition, offset + 1)
    return { partition, offset }
  })
}

async function sendOrRefuse(producer, records, compression) {
  try {
    return await send(producer, records, compression)
  } catch (error) {
    if (!Number.isInteger(error.code)) throw error
    return records.map(() => ({ code: error.code, message: error.message }))
  }
}

class Load {
  constructor(producer, topic, partitions) {
    Object.assign(this, { producer, topic, partitions, acknowledged: [], failed: [], stopped: false })
    this.finished = this.run()
  }

  // One request at a time: kafkajs keeps the order of idempotent sends only then. Its requests are large instead.
  async run() {
    for (let number = 0; !this.stopped; number += 20) {
      const records = []
      for (let row = number; row < number + 20; row++) {
        for (let partition = 0; partition < this.partitions; partition++) {
          records.push({ topic: this.topic, partition, key: null, value: btoa(row), headers: [], timestamp: null })
        }
      }
      try {
        const deliveries = await send(this.producer, records)
        deliveries.forEach(({ partition, offset }, index) => {
          this.acknowledged.push([partition, number + Math.floor(index / this.partitions), offset])
        })
      } catch (error) {
        this.failed.push(`rows from ${number}: ${error}`)
        return
      }
      await new Promise(done => setTimeout(done, 5))
    }
  }
}

module.exports = kafka => {
  let load = null

  async function connect(options) {
    const producer = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner, ...options })
    await producer.connect()
    return producer
  }

  async function produce({ records, options }) {
    const producer = await connect({ idempotent: options.idempotent, maxInFlightRequests: 5 })
    const size = options.batch_records || records.length
    const deliveries = []
    for (let from = 0; from < records.length; from += size) {
      // Awaited: kafkajs sends one idempotent request at a time whatever its limit, and sends that wait for their
      // turn overtake each other.
      const part = records.slice(from, from + size)
      deliveries.push(...(await sendOrRefuse(producer, part, TYPES[options.compression])))
    }
    await producer.disconnect()
    return deliveries
  }

  return {
    produce,
    load_start: async ({ topic, partitions }) => {
      load = new Load(await connect({ idempotent: true, maxInFlightRequests: 1 }), topic, partitions)
      return {}
    },
    load_status: async () => load.acknowledged.length,
    load_stop: async () => {
      load.stopped = true
      await load.finished
      return { acknowledged: load.acknowledged, failed: load.failed }
    },
  }
}
