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
	"net/netip"
	"time"
)

// GuardOptions say when failures are taken for the operator's own.
type GuardOptions struct {
	// Share of the probes that must have failed in the network, of all since the first of
	// them failed, above 0 and at most 1.
	Share float64
	// Groups is how many owners, or how many networks, these must belong to.
	Groups int
	// Release is the share of the suspects that must be well again before verdicts are
	// trusted again, above 0 and at most 1.
	Release float64
}

// DefaultGuardOptions are those that hold if nothing else is said.
func DefaultGuardOptions() GuardOptions {
	return GuardOptions{Share: 0.9, Groups: 3, Release: 0.5}
}

// guard tells the loss of our own network from the deaths of endpoints. A healthy target
// whose last probe failed in the network is a suspect. When nearly everything that was
// probed since the first suspect failed is one, and they have neither an owner nor a
// network in common, it is us. It is pure; times are counted from the scheduler's
// origin.
type guard struct {
	options GuardOptions

	suspects  int
	byOwner   map[Owner]int
	byNetwork map[netip.Prefix]int
	successes successCounter
	// active: no healthy target is taken out.
	active bool
	// most is how many suspects there were at the worst while active.
	most int
	// asked is when witnesses were last asked for.
	asked time.Duration
}

func newGuard(options GuardOptions) guard {
	return guard{options: options, byOwner: map[Owner]int{}, byNetwork: map[netip.Prefix]int{}, asked: -1}
}

// suspect counts a healthy target that has begun to fail in the network.
func (g *guard) suspect(owner Owner, at place) {
	g.suspects++
	g.most = max(g.most, g.suspects)
	g.byOwner[owner]++
	g.byNetwork[networkOf(at)]++
}

// clear takes a suspect back: it is well, or dead by a verdict, or gone.
func (g *guard) clear(owner Owner, at place) {
	g.suspects--
	lower(g.byOwner, owner)
	lower(g.byNetwork, networkOf(at))
	if g.active && float64(g.suspects) <= float64(g.most)*(1-g.options.Release) {
		g.active = false
	}
}

// judgment is what the guard says of a target that would be taken out.
type judgment uint8

const (
	// dead: it is the target's fault.
	dead judgment = iota
	// unsure: nearly all failed, but few were asked. Ask some others before the next try.
	unsure
	// isolated: it is our fault.
	isolated
)

// judge decides about a target whose present run of failures began at this time.
func (g *guard) judge(failing, now time.Duration) judgment {
	if g.active {
		return isolated
	}
	answered := g.successes.since(failing, now)
	share := float64(g.suspects) / float64(g.suspects+answered)
	if share < g.options.Share || max(len(g.byOwner), len(g.byNetwork)) < g.options.Groups {
		return dead
	}
	if g.asked < failing {
		g.asked = now
		return unsure
	}
	g.active, g.most = true, g.suspects
	return isolated
}

// networkOf is the network that a place is taken to be in. Names are networks of their
// own kind.
func networkOf(at place) netip.Prefix {
	bits := 24
	if at.addr.Is6() {
		bits = 48
	}
	network, err := at.addr.Prefix(bits)
	if err != nil { // a name: all of them count as one
		return netip.Prefix{}
	}
	return network
}

// successCounter counts successes by time, in a ring that reaches back some seconds.
type successCounter struct {
	counts [128]int32
	newest int64 // number of the newest bucket
}

const successBucket = 100 * time.Millisecond

func (c *successCounter) add(now time.Duration) {
	c.advance(now)
	c.counts[c.newest%int64(len(c.counts))]++
}

// since counts the successes from then to now, or as far back as the ring reaches.
func (c *successCounter) since(then, now time.Duration) int {
	c.advance(now)
	// The bucket that then is in may hold successes from before it.
	first := max(int64(then/successBucket)+1, c.newest-int64(len(c.counts))+1, 0)
	sum := 0
	for bucket := first; bucket <= c.newest; bucket++ {
		sum += int(c.counts[bucket%int64(len(c.counts))])
	}
	return sum
}

// advance empties the buckets that time has moved on to.
func (c *successCounter) advance(now time.Duration) {
	present := int64(now / successBucket)
	for bucket := max(c.newest+1, present-int64(len(c.counts))+1); bucket <= present; bucket++ {
		c.counts[bucket%int64(len(c.counts))] = 0
	}
	c.newest = max(c.newest, present)
}
