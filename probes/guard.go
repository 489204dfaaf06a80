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
	"slices"
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
// probed while one failed is one, and they have neither an owner nor a network in common,
// it is us. It is pure; times are counted from the scheduler's origin.
//
// A probe whose packets were lost fails by its timeout even if the network has come back
// meanwhile, and others have answered by then. So the time that counts is that in which a
// target's failing probes began; what answers later says nothing about it, and who was a
// suspect then is counted though it is well by now.
type guard struct {
	options GuardOptions

	suspects  int
	byOwner   map[Owner]int
	byNetwork map[netip.Prefix]int
	successes successCounter
	// acquitted are the suspects of the last seconds that turned out to be well, in the
	// order in which they did.
	acquitted []acquittal
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

// acquittal is that a suspect was well after all.
type acquittal struct {
	at      time.Duration
	owner   Owner
	network netip.Prefix
}

// acquit takes a suspect back that has answered.
func (g *guard) acquit(owner Owner, at place, now time.Duration) {
	g.clear(owner, at)
	old := 0
	for old < len(g.acquitted) && g.acquitted[old].at < now-memory {
		old++
	}
	g.acquitted = append(slices.Delete(g.acquitted, 0, old), acquittal{now, owner, networkOf(at)})
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
	// unsure: nearly all failed for a while, but no longer. Try again.
	unsure
	// ask: nearly all failed, but few were asked. Ask some others before the next try.
	ask
	// isolated: it is our fault.
	isolated
)

// judge decides about a target whose present run of failures began at a time, and the last
// probe of it at another.
func (g *guard) judge(failing, begun, now time.Duration) judgment {
	if g.active {
		return isolated
	}
	answered := g.successes.between(failing, begun)
	if !g.widespread(g.suspects, answered, len(g.byOwner), len(g.byNetwork)) {
		if g.wasWidespread(begun, answered) {
			return unsure
		}
		return dead
	}
	if g.asked < failing {
		g.asked = now
		return ask
	}
	g.active, g.most = true, g.suspects
	return isolated
}

// widespread tells whether so many suspects, of so many owners and networks, beside so many
// who answered, are too many to be their own fault.
func (g *guard) widespread(suspects, answered, owners, networks int) bool {
	return float64(suspects) >= g.options.Share*float64(suspects+answered) && max(owners, networks) >= g.options.Groups
}

// wasWidespread tells the same of a time, when who was acquitted since was a suspect.
func (g *guard) wasWidespread(then time.Duration, answered int) bool {
	since := len(g.acquitted)
	owners, networks := map[Owner]bool{}, map[netip.Prefix]bool{}
	for ; since > 0 && g.acquitted[since-1].at > then; since-- {
		if each := &g.acquitted[since-1]; g.byOwner[each.owner] == 0 {
			owners[each.owner] = true
		}
		if each := &g.acquitted[since-1]; g.byNetwork[each.network] == 0 {
			networks[each.network] = true
		}
	}
	return g.widespread(g.suspects+len(g.acquitted)-since, answered, len(g.byOwner)+len(owners), len(g.byNetwork)+len(networks))
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

// memory is how far back the ring reaches, and for how long acquittals are remembered.
const memory = successBucket * time.Duration(len(successCounter{}.counts))

func (c *successCounter) add(now time.Duration) {
	c.advance(now)
	c.counts[c.newest%int64(len(c.counts))]++
}

// between counts the successes from one time to another, or as far back as the ring
// reaches. The buckets at both ends, which may hold successes from before and after, are
// left out.
func (c *successCounter) between(from, to time.Duration) int {
	first := max(int64(from/successBucket)+1, c.newest-int64(len(c.counts))+1, 0)
	sum := 0
	for bucket := first; bucket < min(int64(to/successBucket), c.newest+1); bucket++ {
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
