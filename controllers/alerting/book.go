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

package alerting

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// book keeps the alerts of all objects that hold, and those that ended lately.
type book struct {
	// mu guards what follows. No I/O happens under it.
	mu      sync.Mutex
	notices map[types.NamespacedName]map[alert]*notice
	serial  uint64
}

func newBook() *book {
	return &book{notices: map[types.NamespacedName]map[alert]*notice{}}
}

// endedRetention is how long the end of an alert is kept for an Alertmanager that cannot be
// reached. The value is Prometheus' own (resolvedRetention in its package rules).
const endedRetention = 15 * time.Minute

// restore adds the alerts that held before a restart, according to the record. The next
// evaluation of their objects decides about them.
func (b *book) restore(alerts map[alert]time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for key, since := range alerts {
		if _, known := b.notices[key.object][key]; !known {
			b.add(notice{alert: key, since: since})
		}
	}
}

// record notes an object's evaluation and reports whether that brings anything new.
func (b *book) record(object types.NamespacedName, evaluation Evaluation, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	before := b.serial
	for _, entry := range b.notices[object] {
		if !entry.ended.IsZero() {
			continue
		}
		if ending := evaluation.endingOf(entry.alert); ending != notEnded {
			entry.ended, entry.ending = now, ending
			entry.serial = b.next()
		}
	}
	for _, present := range evaluation.holding {
		if entry, ok := b.notices[object][present.alert]; ok && entry.ended.IsZero() {
			entry.message = present.message
			continue
		}
		b.add(present)
	}
	return b.serial != before
}

// add is called with mu held.
func (b *book) add(present notice) {
	of := b.notices[present.object]
	if of == nil {
		of = map[alert]*notice{}
		b.notices[present.object] = of
	}
	present.serial = b.next()
	of[present.alert] = &present
}

func (b *book) next() uint64 {
	b.serial++
	return b.serial
}

// objects returns the objects that the book has notices of.
func (b *book) objects() []types.NamespacedName {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := make([]types.NamespacedName, 0, len(b.notices))
	for object := range b.notices {
		list = append(list, object)
	}
	return list
}

// after returns the notices since a serial, oldest first, and the serial to continue from. The
// notices since 0 are all of them. It forgets alerts that ended longer than endedRetention ago.
func (b *book) after(serial uint64, now time.Time) ([]notice, uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var changed []notice
	for object, known := range b.notices {
		for key, entry := range known {
			switch {
			case !entry.ended.IsZero() && now.Sub(entry.ended) > endedRetention:
				delete(known, key)
			case entry.serial > serial:
				changed = append(changed, *entry)
			}
		}
		if len(known) == 0 {
			delete(b.notices, object)
		}
	}
	slices.SortFunc(changed, func(x, y notice) int { return cmp.Compare(x.serial, y.serial) })
	return changed, b.serial
}
