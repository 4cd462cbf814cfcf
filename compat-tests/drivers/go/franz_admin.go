package main

import (
	"context"

	"github.com/twmb/franz-go/pkg/kadm"
)

// with runs admin calls on a client of their own.
func (d *franzGo) with(calls func(context.Context, *kadm.Client) (any, error)) (any, error) {
	client, err := d.client()
	if err != nil {
		return nil, err
	}
	defer client.Close()
	limit, cancel := context.WithTimeout(context.Background(), callLimit)
	defer cancel()
	return calls(limit, kadm.NewClient(client))
}

func (d *franzGo) createTopic(request *topicRequest) (any, error) {
	return d.with(func(limit context.Context, admin *kadm.Client) (any, error) {
		_, err := admin.CreateTopic(limit, request.Partitions, 1, request.Configs, request.Topic)
		return map[string]any{}, err
	})
}

func (d *franzGo) describeTopic(request *topicRequest) (any, error) {
	return d.with(func(limit context.Context, admin *kadm.Client) (any, error) {
		topics, err := admin.ListTopicsWithInternal(limit, request.Topic)
		if err != nil {
			return nil, err
		}
		topic := topics[request.Topic]
		partitions := []map[string]any{}
		for _, one := range topic.Partitions {
			partitions = append(partitions, map[string]any{"partition": one.Partition, "leader": one.Leader})
		}
		return partitions, topic.Err
	})
}

func (d *franzGo) listTopics(_ *topicRequest) (any, error) {
	return d.with(func(limit context.Context, admin *kadm.Client) (any, error) {
		topics, err := admin.ListTopics(limit)
		return topics.Names(), err
	})
}

func (d *franzGo) createPartitions(request *topicRequest) (any, error) {
	return d.with(func(limit context.Context, admin *kadm.Client) (any, error) {
		responses, err := admin.UpdatePartitions(limit, request.Total, request.Topic)
		if err == nil {
			err = responses.Error()
		}
		return map[string]any{}, err
	})
}

func (d *franzGo) deleteTopic(request *topicRequest) (any, error) {
	return d.with(func(limit context.Context, admin *kadm.Client) (any, error) {
		_, err := admin.DeleteTopic(limit, request.Topic)
		return map[string]any{}, err
	})
}

func (d *franzGo) describeConfigs(request *topicRequest) (any, error) {
	return d.with(func(limit context.Context, admin *kadm.Client) (any, error) {
		resources, err := admin.DescribeTopicConfigs(limit, request.Topic)
		if err != nil {
			return nil, err
		}
		resource, err := resources.On(request.Topic, nil)
		configs := map[string]*string{}
		for _, config := range resource.Configs {
			configs[config.Key] = config.Value
		}
		if err == nil {
			err = resource.Err
		}
		return configs, err
	})
}

func (d *franzGo) incrementalAlterConfigs(request *topicRequest) (any, error) {
	return d.with(func(limit context.Context, admin *kadm.Client) (any, error) {
		responses, err := admin.AlterTopicConfigs(limit, alterations(request), request.Topic)
		return altered(responses, err)
	})
}

func (d *franzGo) alterConfigs(request *topicRequest) (any, error) {
	return d.with(func(limit context.Context, admin *kadm.Client) (any, error) {
		responses, err := admin.AlterTopicConfigsState(limit, alterations(request), request.Topic)
		return altered(responses, err)
	})
}

func (d *franzGo) describeLogDirs(request *topicRequest) (any, error) {
	return d.with(func(limit context.Context, admin *kadm.Client) (any, error) {
		nodes, err := admin.DescribeAllLogDirs(limit, nil)
		sizes := map[int32]map[int32]int64{}
		for node, dirs := range nodes {
			sizes[node] = map[int32]int64{}
			for _, dir := range dirs {
				for partition, one := range dir.Topics[request.Topic] {
					sizes[node][partition] = one.Size
				}
			}
		}
		return sizes, err
	})
}

func alterations(request *topicRequest) []kadm.AlterConfig {
	var all []kadm.AlterConfig
	for name, value := range request.Set {
		all = append(all, kadm.AlterConfig{Op: kadm.SetConfig, Name: name, Value: value})
	}
	for _, name := range request.Delete {
		all = append(all, kadm.AlterConfig{Op: kadm.DeleteConfig, Name: name})
	}
	return all
}

func altered(responses kadm.AlterConfigsResponses, err error) (any, error) {
	for _, response := range responses {
		if err == nil {
			err = response.Err
		}
	}
	return map[string]any{}, err
}
