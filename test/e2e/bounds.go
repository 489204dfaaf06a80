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

// Refusal is the longest time until an endpoint is found dead that answers, if with a
// refusal.
func (s Settings) Refusal() time.Duration {
	return s.Interval + time.Duration(s.FailureThreshold-1)*s.Fast
}

// Silence is the longest time until an endpoint is found dead that does not answer in
// time.
func (s Settings) Silence() time.Duration {
	return s.Interval + time.Duration(s.FailureThreshold)*max(s.Fast, s.Timeout)
}

// Recovery is the longest time until an endpoint is found well again.
func (s Settings) Recovery() time.Duration {
	return s.Interval + time.Duration(s.SuccessThreshold-1)*s.Fast + s.Timeout
}

// Slack is what a detection may take longer than its bound: the slice's way to the
// kube-proxies and theirs to the kernel, on a busy machine.
const Slack = 250 * time.Millisecond

// LastFailure is the time from a fault to the last request that failed of those that were
// sent from then on; 0 if none did.
func LastFailure(requests []traffic.Request, fault time.Time) time.Duration {
	var last time.Duration
	for _, request := range requests {
		if request.Failed() {
			last = max(last, request.At.Sub(fault))
		}
	}
	return last
}

// Failures counts requests in vain.
func Failures(requests []traffic.Request) int {
	count := 0
	for _, request := range requests {
		if request.Failed() {
			count++
		}
	}
	return count
}
