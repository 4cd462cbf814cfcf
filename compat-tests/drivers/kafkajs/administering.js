// The admin verbs. kafkajs has no IncrementalAlterConfigs.
'use strict'

const { ConfigResourceTypes } = require('kafkajs')

const TOPIC_ALREADY_EXISTS = 36

module.exports = kafka => {
  let connected = null

  async function admin() {
    if (connected === null) {
      connected = kafka.admin({ retry: { retries: 5 } })
      await connected.connect()
    }
    return connected
  }

  async function createTopic({ topic, partitions, configs }) {
    const configEntries = Object.entries(configs).map(([name, value]) => ({ name, value }))
    const made = await (await admin()).createTopics({
      waitForLeaders: false,
      topics: [{ topic, numPartitions: partitions, replicationFactor: 1, configEntries }],
    })
    // kafkajs answers false where the broker answered with this error.
    if (!made) throw Object.assign(new Error(`${topic} exists`), { code: TOPIC_ALREADY_EXISTS })
    return {}
  }

  async function describeTopic({ topic }) {
    const { topics } = await (await admin()).fetchTopicMetadata({ topics: [topic] })
    return topics[0].partitions.map(one => ({ partition: one.partitionId, leader: one.leader }))
  }

  async function createPartitions({ topic, total }) {
    await (await admin()).createPartitions({ topicPartitions: [{ topic, count: total }] })
    return {}
  }

  async function deleteTopic({ topic }) {
    await (await admin()).deleteTopics({ topics: [topic] })
    return {}
  }

  async function describeConfigs({ topic }) {
    const { resources } = await (await admin()).describeConfigs({
      includeSynonyms: false,
      resources: [{ type: ConfigResourceTypes.TOPIC, name: topic }],
    })
    return Object.fromEntries(resources[0].configEntries.map(entry => [entry.configName, entry.configValue]))
  }

  async function alterConfigs({ topic, set }) {
    const configEntries = Object.entries(set).map(([name, value]) => ({ name, value }))
    await (await admin()).alterConfigs({
      validateOnly: false,
      resources: [{ type: ConfigResourceTypes.TOPIC, name: topic, configEntries }],
    })
    return {}
  }

  return {
    create_topic: createTopic,
    describe_topic: describeTopic,
    list_topics: async () => (await admin()).listTopics(),
    create_partitions: createPartitions,
    delete_topic: deleteTopic,
    describe_configs: describeConfigs,
    alter_configs: alterConfigs,
  }
}
