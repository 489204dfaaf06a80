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

package scheduler

import (
	"container/heap"
	"time"

	"farpoint.dev/farpoint/probes/health"
)

// lane is the queue that a probe waits in. Targets that are steadily down and slow to fail have
// laneDown, so that their timeouts delay no others. Those that fail at once, such as a process that
// is not running, occupy nothing for long: they stay in laneLive, so that their recovery is noticed
// soon. Probes with a pending change have lanePending, so that the change is confirmed or refuted
// in time, however late the others are.
type lane uint8

const (
	laneLive lane = iota
	laneDown
	lanePending
	lanes
)

// String is the lane as a metric's label has it.
func (l lane) String() string {
	return [lanes]string{laneLive: "live", laneDown: "down", lanePending: "pending"}[l]
}

func laneOf(p *probe) lane {
	switch {
	case p.health.Pending() || p.suspect:
		return lanePending
	case p.health.State == health.StateUnhealthy && !p.failedFast:
		return laneDown
	}
	return laneLive
}

// dueQueue is a heap of probes, the one that is due first at its top (container/heap).
type dueQueue []*probe

func (q dueQueue) Len() int           { return len(q) }
func (q dueQueue) Less(i, j int) bool { return q[i].due < q[j].due }

func (q dueQueue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].position, q[j].position = int32(i), int32(j)
}

// Push implements heap.Interface.
func (q *dueQueue) Push(x any) {
	added := x.(*probe)
	added.queue, added.position = q, int32(len(*q))
	*q = append(*q, added)
}

// Pop implements heap.Interface.
func (q *dueQueue) Pop() any {
	last := len(*q) - 1
	p := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	p.queue = nil
	return p
}

// dueAt makes a probe that waits due at another time.
func (p *probe) dueAt(due time.Duration) {
	p.due = due
	heap.Fix(p.queue, int(p.position))
}
