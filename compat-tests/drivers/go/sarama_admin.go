package main

import (
	"maps"
	"slices"

	"github.com/IBM/sarama"
)

// with runs admin calls on a client of their own.
func (d *saramaClient) with(calls func(sarama.ClusterAdmin) (any, error)) (any, error) {
	admin, err := sarama.NewClusterAdmin([]string{d.address}, d.config())
	if err != nil {
		return nil, err
	}
	defer admin.Close()
	return calls(admin)
}

func (d *saramaClient) createTopic(request *topicRequest) (any, error) {
	return d.with(func(admin sarama.ClusterAdmin) (any, error) {
		detail := &sarama.TopicDetail{NumPartitions: request.Partitions, ReplicationFactor: 1, ConfigEntries: request.Configs}
		return map[string]any{}, admin.CreateTopic(request.Topic, detail, false)
	})
}

func (d *saramaClient) describeTopic(request *topicRequest) (any, error) {
	return d.with(func(admin sarama.ClusterAdmin) (any, error) {
		topics, err := admin.DescribeTopics([]string{request.Topic})
		if err != nil {
			return nil, err
		}
		if topics[0].Err != sarama.ErrNoError {
			return nil, topics[0].Err
		}
		partitions := []map[string]any{}
		for _, one := range topics[0].Partitions {
			partitions = append(partitions, map[string]any{"partition": one.ID, "leader": one.Leader})
		}
		return partitions, nil
	})
}

func (d *saramaClient) listTopics(_ *topicRequest) (any, error) {
	return d.with(func(admin sarama.ClusterAdmin) (any, error) {
		topics, err := admin.ListTopics()
		names := []string{}
		for name := range topics {
			names = append(names, name)
		}
		return names, err
	})
}

func (d *saramaClient) createPartitions(request *topicRequest) (any, error) {
	return d.with(func(admin sarama.ClusterAdmin) (any, error) {
		return map[string]any{}, admin.CreatePartitions(request.Topic, int32(request.Total), nil, false)
	})
}

func (d *saramaClient) deleteTopic(request *topicRequest) (any, error) {
	return d.with(func(admin sarama.ClusterAdmin) (any, error) {
		return map[string]any{}, admin.DeleteTopic(request.Topic)
	})
}

func (d *saramaClient) describeConfigs(request *topicRequest) (any, error) {
	return d.with(func(admin sarama.ClusterAdmin) (any, error) {
		entries, err := admin.DescribeConfig(sarama.ConfigResource{Type: sarama.TopicResource, Name: request.Topic})
		configs := map[string]string{}
		for _, entry := range entries {
			configs[entry.Name] = entry.Value
		}
		return configs, err
	})
}

func (d *saramaClient) incrementalAlterConfigs(request *topicRequest) (any, error) {
	return d.with(func(admin sarama.ClusterAdmin) (any, error) {
		changes := map[string]sarama.IncrementalAlterConfigsEntry{}
		for name, value := range request.Set {
			changes[name] = sarama.IncrementalAlterConfigsEntry{Operation: sarama.IncrementalAlterConfigsOperationSet, Value: value}
		}
		for _, name := range request.Delete {
			changes[name] = sarama.IncrementalAlterConfigsEntry{Operation: sarama.IncrementalAlterConfigsOperationDelete}
		}
		return map[string]any{}, admin.IncrementalAlterConfig(sarama.TopicResource, request.Topic, changes, false)
	})
}

func (d *saramaClient) alterConfigs(request *topicRequest) (any, error) {
	return d.with(func(admin sarama.ClusterAdmin) (any, error) {
		return map[string]any{}, admin.AlterConfig(sarama.TopicResource, request.Topic, request.Set, false)
	})
}

func (d *saramaClient) describeLogDirs(request *topicRequest) (any, error) {
	return d.with(func(admin sarama.ClusterAdmin) (any, error) {
		brokers, _, err := admin.DescribeCluster()
		if err != nil {
			return nil, err
		}
		sizes := map[int32]map[int32]int64{}
		for _, broker := range brokers {
			sizes[broker.ID()] = map[int32]int64{}
		}
		nodes, err := admin.DescribeLogDirs(slices.Collect(maps.Keys(sizes)))
		for node, dirs := range nodes {
			for _, dir := range dirs {
				for _, topic := range dir.Topics {
					for _, one := range topic.Partitions {
						if topic.Topic == request.Topic {
							sizes[node][one.PartitionID] = one.Size
						}
					}
				}
			}
		}
		return sizes, err
	})
}
