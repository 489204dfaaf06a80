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

package guard

import "time"

// canaries are targets that are always up.
type canaries[K comparable] struct {
	known map[K]*canary
	// down is since when all canaries for a side of the router have failed.
	down [sides]moment
}

// canary is how often in a row a canary has passed, or failed.
type canary struct {
	location       Location
	passes, failed int
}

// canaryStreak is how many results in a row make a canary count as down, or as back when all were
// down.
const canaryStreak = 2

// Canary notes the result of a canary's probe.
func (g *Guard[K]) Canary(k K, at Location, passed bool, startedAt, now time.Duration) {
	g.noteWitness(k)
	c := g.canaries.known[k]
	if c == nil {
		c = &canary{location: at}
		g.canaries.known[k] = c
	}
	if passed {
		c.passes, c.failed = c.passes+1, 0
		g.canaryReached(at, startedAt, now)
	} else {
		c.passes, c.failed = 0, c.failed+1
	}
	for side := range sides {
		g.canaries.update(side, now)
	}
}

func (g *Guard[K]) canaryReached(at Location, startedAt, now time.Duration) {
	if now-startedAt >= retransmission {
		startedAt = now
	}
	for _, w := range g.windows {
		for side := at.side(); startedAt >= w.startedAt && side < sides; side++ { // the way to remote addresses leads over the link
			w.canary[side].earliest(startedAt)
		}
	}
}

// update finds out whether the canaries for a side are down. For the remote side, only remote
// canaries count, if there are any.
func (c *canaries[K]) update(at side, now time.Duration) {
	all, down, back := 0, 0, 0
	for _, item := range c.known {
		if at == remote && item.location.OnLink && c.cover(remote) {
			continue
		}
		all++
		if item.failed >= canaryStreak {
			down++
		}
		if item.passes >= canaryStreak {
			back++
		}
	}
	switch since := &c.down[at]; {
	case down == all && !since.known:
		*since = moment{now, true}
	case 2*back > all && since.known:
		*since = moment{}
	}
}

// cover reports whether there are canaries that show whether a side of the router can be reached.
func (c *canaries[K]) cover(at side) bool {
	for _, item := range c.known {
		if at == onLink || !item.location.OnLink {
			return true
		}
	}
	return false
}
