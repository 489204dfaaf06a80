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

// isolation is a time in which we are taken to be cut off from the network: no healthy
// target is taken out. It lasts until enough of the targets are reached, see [guard].
type isolation struct {
	// most is how many suspects there were at the worst.
	most int
	// standing is how those targets have fared that were heard of meanwhile, and count how
	// many of them have fared so.
	standing map[*probe]standing
	count    [standings]int
	// recovery is when the last one recovered.
	recovery time.Duration
}

// standing is how a target has fared since the isolation began.
type standing uint8

const (
	// unheard: it has not been heard of.
	unheard standing = iota
	// faltering: it was a suspect, and has not been reached since.
	faltering
	// recovered: it has been reached again.
	recovered
	// steady: it has been reached all the time.
	steady
	standings
)

func newIsolation(suspects int, now time.Duration) *isolation {
	return &isolation{most: suspects, standing: map[*probe]standing{}, recovery: now}
}

// reach notes that a target was reached.
func (i *isolation) reach(p *probe, now time.Duration) {
	switch i.standing[p] {
	case faltering:
		i.note(p, recovered)
		i.recovery = now
	case unheard:
		i.note(p, steady)
	}
}

// wasCutOff tells whether a target has been a suspect meanwhile.
func (i *isolation) wasCutOff(p *probe) bool {
	return i.standing[p] == faltering || i.standing[p] == recovered
}

// note notes how a target fares.
func (i *isolation) note(p *probe, now standing) {
	i.forget(p)
	i.standing[p] = now
	i.count[now]++
}

func (i *isolation) forget(p *probe) {
	if before, ok := i.standing[p]; ok {
		delete(i.standing, p)
		i.count[before]--
	}
}
