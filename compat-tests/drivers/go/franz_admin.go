package main

import (
	"context"
	"encoding/json"

	"github.com/twmb/franz-go/pkg/kadm"
)

func (d *franzGo) admin() (*kadm.Client, context.Context, func(), error) {
	client, err := d.client()
	if err != nil {
		return nil, nil, nil, err
	}
	limit, cancel := context.WithTimeout(context.Background(), callLimit)
	done := func() {
		cancel()
		client.Close()
	}
	return kadm.NewClient(client), limit, done, nil
}

// with runs one admin call on the parsed request.
func (d *franzGo) with(line []byte, call func(context.Context, *kadm.Client, *topicRequest) (any, error)) (any, error) {
	var request topicRequest
	if err := json.Unmarshal(line, &request); err != nil {
		return nil, err
	}
	admin, limit, cancel, err := d.admin()
	if err != nil {
		return nil, err
	}
	defer cancel()
	return call(limit, admin, &request)
}

func (d *franzGo) createTopic(line []byte) (any, error) {
	return d.with(line, func(limit context.Context, admin *kadm.Client, request *topicRequest) (any, error) {
		_, err := admin.CreateTopic(limit, request.Partitions, 1, request.Configs, request.Topic)
		return map[string]any{}, err
	})
}

func (d *franzGo) describeTopic(line []byte) (any, error) {
	return d.with(line, func(limit context.Context, admin *kadm.Client, request *topicRequest) (any, error) {
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

func (d *franzGo) listTopics(line []byte) (any, error) {
	return d.with(line, func(limit context.Context, admin *kadm.Client, _ *topicRequest) (any, error) {
		topics, err := admin.ListTopics(limit)
		return topics.Names(), err
	})
}

func (d *franzGo) createPartitions(line []byte) (any, error) {
	return d.with(line, func(limit context.Context, admin *kadm.Client, request *topicRequest) (any, error) {
		responses, err := admin.UpdatePartitions(limit, request.Total, request.Topic)
		if err == nil {
			err = responses.Error()
		}
		return map[string]any{}, err
	})
}

func (d *franzGo) deleteTopic(line []byte) (any, error) {
	return d.with(line, func(limit context.Context, admin *kadm.Client, request *topicRequest) (any, error) {
		_, err := admin.DeleteTopic(limit, request.Topic)
		return map[string]any{}, err
	})
}

func (d *franzGo) describeConfigs(line []byte) (any, error) {
	return d.with(line, func(limit context.Context, admin *kadm.Client, request *topicRequest) (any, error) {
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

func (d *franzGo) incrementalAlterConfigs(line []byte) (any, error) {
	return d.with(line, func(limit context.Context, admin *kadm.Client, request *topicRequest) (any, error) {
		responses, err := admin.AlterTopicConfigs(limit, alterations(request), request.Topic)
		return altered(responses, err)
	})
}

func (d *franzGo) alterConfigs(line []byte) (any, error) {
	return d.with(line, func(limit context.Context, admin *kadm.Client, request *topicRequest) (any, error) {
		responses, err := admin.AlterTopicConfigsState(limit, alterations(request), request.Topic)
		return altered(responses, err)
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
