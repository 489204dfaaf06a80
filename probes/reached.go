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

import "time"

// reachedCounter counts what was reached, by time, in a ring that reaches back longer than
// most probes may take.
type reachedCounter struct {
	counts [16384]uint32
	newest int64 // number of the newest bucket
}

const (
	reachedBucket = 10 * time.Millisecond
	reachedMemory = reachedBucket * time.Duration(len(reachedCounter{}.counts)-1)
)

// add counts one at a time that is not later than now, and not much earlier.
func (c *reachedCounter) add(at, now time.Duration) {
	c.advance(now)
	*c.bucket(int64(at / reachedBucket))++
}

// takeBack undoes add, unless the ring does not reach back to that time any more, or it is 0.
func (c *reachedCounter) takeBack(at time.Duration) {
	if bucket := int64(at / reachedBucket); at > 0 && bucket >= c.oldest() {
		*c.bucket(bucket)--
	}
}

// between counts from one time to another, or as far back as the ring reaches.
func (c *reachedCounter) between(from, to time.Duration) int {
	sum := 0
	for bucket := max(int64(from/reachedBucket), c.oldest()); bucket <= min(int64(to/reachedBucket), c.newest); bucket++ {
		sum += int(*c.bucket(bucket))
	}
	return sum
}

// advance empties the buckets that time has moved on to.
func (c *reachedCounter) advance(now time.Duration) {
	present := int64(now / reachedBucket)
	for bucket := max(c.newest+1, present-int64(len(c.counts))+1); bucket <= present; bucket++ {
		*c.bucket(bucket) = 0
	}
	c.newest = max(c.newest, present)
}

func (c *reachedCounter) oldest() int64 { return max(c.newest-int64(len(c.counts))+1, 0) }

func (c *reachedCounter) bucket(number int64) *uint32 {
	return &c.counts[number%int64(len(c.counts))]
}
