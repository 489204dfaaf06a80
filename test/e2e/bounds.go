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
	"time"

	"farpoint.dev/farpoint/test/e2e/traffic"
)

// Settings are those of a health check.
type Settings struct {
	Interval, Fast, Timeout            time.Duration
	FailureThreshold, SuccessThreshold int32
}

// Refusal returns the longest time until an endpoint that refuses connections is found dead.
func (s Settings) Refusal() time.Duration {
	return s.Interval + time.Duration(s.FailureThreshold-1)*s.Fast
}

// Silence returns the longest time until an endpoint that does not answer is found dead.
func (s Settings) Silence() time.Duration {
	return s.Interval + time.Duration(s.FailureThreshold)*max(s.Fast, s.Timeout)
}

// Recovery returns the longest time until an endpoint is found healthy again.
func (s Settings) Recovery() time.Duration {
	return s.Interval + time.Duration(s.SuccessThreshold-1)*s.Fast + s.Timeout
}

// Slack is by how much a detection may exceed its bound: the time for the slice to reach the
// kube-proxies and the kernel on a busy machine.
const Slack = 250 * time.Millisecond

// LastFailure returns the time from a fault to the last failed request that was sent after it; 0 if
// none failed.
func LastFailure(requests []traffic.Request, fault time.Time) time.Duration {
	var last time.Duration
	for _, request := range requests {
		if request.Failed() {
			last = max(last, request.At.Sub(fault))
		}
	}
	return last
}

// Failures counts failed requests.
func Failures(requests []traffic.Request) int {
	count := 0
	for _, request := range requests {
		if request.Failed() {
			count++
		}
	}
	return count
}
