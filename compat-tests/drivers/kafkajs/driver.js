// The driver of kafkajs: the line protocol of ../README.md on stdin and stdout.
'use strict'

const readline = require('readline')
const { Kafka, logLevel } = require('kafkajs')
const { version } = require('kafkajs/package.json')
const administering = require('./administering')
const codecs = require('./codecs')
const consuming = require('./consuming')
const producing = require('./producing')

const kafka = new Kafka({
  clientId: 'compat-tests',
  brokers: [process.argv[2]],
  logLevel: logLevel.WARN,
  // stdout belongs to the line protocol.
  logCreator: () => ({ namespace, label, log }) => console.error(label, namespace, JSON.stringify(log)),
  retry: { initialRetryTime: 100, maxRetryTime: 1000, retries: 60 },
})

const verbs = {
  hello: async () => `kafkajs ${version}`,
  ...producing(kafka),
  ...consuming(kafka),
  ...administering(kafka),
}

// kafkajs wraps an error in the one that says that its retries are used up, or in a list of one per topic.
function codeOf(error) {
  for (let cause = error; cause; cause = cause.cause) {
    if (Number.isInteger(cause.code)) return cause.code
    if (Array.isArray(cause.errors)) return codeOf(cause.errors[0])
  }
  return null
}

async function answer({ verb, ...request }) {
  try {
    if (!verbs[verb]) throw new Error(`this driver has no verb ${verb}`)
    return { ok: await verbs[verb](request) }
  } catch (error) {
    console.error(error)
    return { error: { code: codeOf(error), message: `${error.name}: ${error.message}` } }
  }
}

async function main() {
  await codecs.register()
  for await (const line of readline.createInterface({ input: process.stdin })) {
    process.stdout.write(JSON.stringify(await answer(JSON.parse(line))) + '\n')
  }
  process.exit(0)
}

main()
