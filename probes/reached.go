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

package probes

import (
	"math"
	"time"
)

// reachedCounter counts by time when our network was seen to work, in a ring that reaches
// back longer than a probe may take.
type reachedCounter struct {
	counts [16384]uint16
	newest int64 // number of the newest bucket
}

const (
	reachedBucket = 10 * time.Millisecond
	reachedMemory = reachedBucket * time.Duration(len(reachedCounter{}.counts)-1)
)

// retransmission is after how long a lost SYN is sent again (RFC 6298).
const retransmission = time.Second

// add counts a probe that was answered. What it has sent at first went through; if it
// took so long that this may have been lost, it is only known of its end.
func (c *reachedCounter) add(begun, now time.Duration) {
	c.advance(now)
	at := begun
	if now-begun >= retransmission {
		at = now
	}
	if count := &c.counts[int64(at/reachedBucket)%int64(len(c.counts))]; *count < math.MaxUint16 {
		*count++
	}
}

// between counts from one time to another, or as far back as the ring reaches.
func (c *reachedCounter) between(from, to time.Duration) int {
	first := max(int64(from/reachedBucket), c.newest-int64(len(c.counts))+1, 0)
	sum := 0
	for bucket := first; bucket <= min(int64(to/reachedBucket), c.newest); bucket++ {
		sum += int(c.counts[bucket%int64(len(c.counts))])
	}
	return sum
}

// advance empties the buckets that time has moved on to.
func (c *reachedCounter) advance(now time.Duration) {
	present := int64(now / reachedBucket)
	for bucket := max(c.newest+1, present-int64(len(c.counts))+1); bucket <= present; bucket++ {
		c.counts[bucket%int64(len(c.counts))] = 0
	}
	c.newest = max(c.newest, present)
}
