//go:build linux

/*
Copyright 2026 The Farpoint Authors.

Licensed under the Apache License, Version 2.0 (the "License");
you may not use this file except in compliance with the License.
You may obtain a copy of the License at

    http://www.apache.org/licenses/LICENSE-2.0

Unless required by applicable law or agreed to in writing, software
distributed under the License is distributed on an "AS IS" BASIS,
WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
See the License for the specific language governing permissions and
limitations under the License.
*/

package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"time"
)

// Write is a write request in the API server's audit log.
type Write struct {
	At                    time.Time
	User, Verb            string
	Resource, Subresource string
	Namespace, Name       string
	Status                int
}

// operatorUser is the operator's user name at the API server.
const operatorUser = "system:serviceaccount:" + systemNamespace + ":" + accountName

// Done reports whether the API server has accepted the write.
func (w Write) Done() bool { return w.Status < 300 }

// auditEvent has the fields that are read of an event of audit.k8s.io/v1.
type auditEvent struct {
	RequestReceivedTimestamp time.Time
	Stage, Verb              string
	User                     struct{ Username string }
	ObjectRef                struct{ Resource, Subresource, Namespace, Name string }
	ResponseStatus           struct{ Code int }
}

// Writes returns the matching writes that the API server has answered since a time. None is missing:
// the API server logs before it answers.
func (c *Cluster) Writes(since time.Time, matching func(Write) bool) ([]Write, error) {
	file, err := os.Open(c.controlPlane.auditLog())
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var writes []Write
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var event auditEvent
		if err := json.Unmarshal(lines.Bytes(), &event); err != nil {
			// The API server was killed while it wrote this line, or is writing it.
			continue
		}
		write := Write{
			At: event.RequestReceivedTimestamp, User: event.User.Username, Verb: event.Verb,
			Resource: event.ObjectRef.Resource, Subresource: event.ObjectRef.Subresource,
			Namespace: event.ObjectRef.Namespace, Name: event.ObjectRef.Name, Status: event.ResponseStatus.Code,
		}
		if event.Stage == "ResponseComplete" && !write.At.Before(since) && matching(write) {
			writes = append(writes, write)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read the audit log: %w", err)
	}
	return writes, nil
}

// SliceWrites returns the operator's writes to the slices of a namespace since a time.
func (c *Cluster) SliceWrites(namespace string, since time.Time) ([]Write, error) {
	return c.Writes(since, func(write Write) bool {
		return write.User == operatorUser && write.Resource == "endpointslices" && write.Namespace == namespace && write.Done()
	})
}
