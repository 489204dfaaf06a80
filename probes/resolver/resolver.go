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

package resolver

import (
	"container/heap"
	"context"
	"net/netip"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/utils/clock"

	"farpoint.dev/farpoint/probes"
)

// Options are what a Resolver needs.
type Options struct {
	// Notify is called with the owner of a question after its answer changed. It must return at
	// once.
	Notify func(probes.Owner)
	// Servers are the name servers; those of the host if there are none.
	Servers []netip.AddrPort
	// CheckServer returns an error if a name server of Question.Servers may not be asked; nil
	// allows all of them.
	CheckServer func(netip.Addr) error
	// Grace is how long the records of a name are kept after it has ceased to exist; 0 means
	// DefaultMissingGrace.
	Grace time.Duration
	// Metrics are fed by the resolver; nil means unregistered ones.
	Metrics *Metrics
	// Clock is the real one if nil.
	Clock clock.Clock
	// Log gets replies that make the resolver panic.
	Log logr.Logger

	// lookup queries the name servers. Tests replace it.
	lookup func(context.Context, Question) dnsReply
}

// DefaultMissingGrace is long enough to restore a record that was deleted by mistake, or that a zone
// was loaded without.
const DefaultMissingGrace = 5 * time.Minute

func (o Options) withDefaults() Options {
	if o.Grace == 0 {
		o.Grace = DefaultMissingGrace
	}
	if o.Metrics == nil {
		o.Metrics = NewMetrics()
	}
	if o.Clock == nil {
		o.Clock = clock.RealClock{}
	}
	if o.lookup == nil {
		o.lookup = newNameServers(resolvConf, o.Servers).lookup
	}
	return o
}

// Resolver looks up DNS names whenever their replies expire, and keeps the last records while
// lookups fail. It looks up each name once for all of its owners.
type Resolver struct {
	options Options
	// wake interrupts the wait for the next due time.
	wake chan struct{}
	// asking counts the goroutines of lookups.
	asking sync.WaitGroup

	// mu guards everything below. Nothing waits while holding it, neither for the network
	// nor for Notify.
	mu        sync.Mutex
	lookups   map[Question]*lookup
	requested map[probes.Owner]map[Question]bool
	// queues hold the lookups that are not under way, by lane.
	queues   [lookupLanes]lookupQueue
	inFlight [lookupLanes]int
}

// lookupLane is a queue of lookups.
type lookupLane uint8

const (
	liveLane    lookupLane = iota
	failingLane            // those whose last lookup failed
	// The same for name servers of single objects: silent ones must not delay lookups by the
	// operator's own.
	ownLiveLane
	ownFailingLane
	lookupLanes
)

// maxSleep is how long the resolver sleeps at most.
const maxSleep = time.Second

// maxLookups bounds the concurrent lookups of each lane: lookups that fail take long, and must not
// delay the others.
const maxLookups = 128

// New returns a resolver that looks up nothing before Start.
func New(options Options) *Resolver {
	return &Resolver{
		options:   options.withDefaults(),
		wake:      make(chan struct{}, 1),
		lookups:   map[Question]*lookup{},
		requested: map[probes.Owner]map[Question]bool{},
	}
}

// Request is a question that an owner wants answered.
type Request struct {
	Question
	TTLBounds
	// Known are the records to begin with: those that were published before the operator was
	// started.
	Known RecordSet
}

// Set sets the questions of an owner, which must not contain duplicates. The answer to a question is
// kept as long as it has an owner.
func (r *Resolver) Set(owner probes.Owner, questions []Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := r.requested[owner]
	if len(before)+len(questions) == 0 {
		return
	}
	after := make(map[Question]bool, len(questions))
	for i := range questions {
		after[questions[i].Question] = true
		r.request(owner, &questions[i])
	}
	for question := range before {
		if !after[question] {
			r.leave(owner, question)
		}
	}
	if len(after) > 0 {
		r.requested[owner] = after
	} else {
		delete(r.requested, owner)
	}
	r.options.Metrics.names.Set(float64(len(r.lookups)))
}

// Remove removes all questions of the owner.
func (r *Resolver) Remove(owner probes.Owner) { r.Set(owner, nil) }

// Answer returns what is known about a question; zero if it has no owner.
func (r *Resolver) Answer(question Question) Answer {
	r.mu.Lock()
	defer r.mu.Unlock()
	if known := r.lookups[question]; known != nil {
		return known.answer
	}
	return Answer{}
}

func (r *Resolver) request(owner probes.Owner, request *Request) {
	known := r.lookups[request.Question]
	if known == nil {
		now := r.options.Clock.Now()
		known = &lookup{question: request.Question, bounds: map[probes.Owner]TTLBounds{}, due: now, answer: Answer{FirstAsked: now}}
		if request.Servers != "" {
			known.servers = ownNameServers(request.Servers, r.options.CheckServer)
		}
		r.lookups[request.Question] = known
		heap.Push(r.queueOf(known), known)
		r.nudge()
	}
	if known.answer.Outcome == LookupPending && known.answer.empty() {
		known.answer.RecordSet, known.answer.Stale = request.Known, !request.Known.empty()
	}
	if bounds, ok := known.bounds[owner]; ok && bounds == request.TTLBounds {
		return
	}
	known.bounds[owner] = request.TTLBounds
	r.reschedule(known)
}

func (r *Resolver) leave(owner probes.Owner, question Question) {
	known := r.lookups[question]
	delete(known.bounds, owner)
	if len(known.bounds) > 0 {
		r.reschedule(known)
		return
	}
	delete(r.lookups, question)
	known.abandoned = true
	if known.position != absent {
		heap.Remove(r.queueOf(known), known.position)
	}
}

// reschedule is called when the TTL bounds of a question's owners have changed.
func (r *Resolver) reschedule(known *lookup) {
	if known.position != absent && known.answer.Outcome != LookupPending {
		known.schedule()
		heap.Fix(r.queueOf(known), known.position)
		r.nudge()
	}
}

func (r *Resolver) queueOf(known *lookup) *lookupQueue { return &r.queues[known.lane()] }

// Start looks up names until the context is done. It returns once the last lookup has ended. It is
// called once.
func (r *Resolver) Start(ctx context.Context) error {
	defer r.asking.Wait()
	timer := r.options.Clock.NewTimer(maxSleep)
	defer timer.Stop()
	for ctx.Err() == nil {
		timer.Reset(r.begin(ctx))
		select {
		case <-ctx.Done():
		case <-r.wake:
		case <-timer.C():
		}
	}
	return nil
}

// begin starts the lookups that are due, within the limits, and returns the time until the next one
// is due.
func (r *Resolver) begin(ctx context.Context) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	now, wait := r.options.Clock.Now(), time.Hour
	for lane := range r.queues {
		queue := &r.queues[lane]
		for len(*queue) > 0 && r.inFlight[lane] < maxLookups {
			first := (*queue)[0]
			if left := first.due.Sub(now); left > 0 {
				wait = min(wait, left)
				break
			}
			heap.Pop(queue)
			r.inFlight[lane]++
			r.asking.Go(func() { r.ask(ctx, first, &r.inFlight[lane]) })
		}
	}
	return wait
}

func (r *Resolver) ask(ctx context.Context, of *lookup, inFlight *int) {
	startedAt := r.options.Clock.Now()
	reply := r.lookup(ctx, of)
	if ctx.Err() != nil {
		return
	}
	now := r.options.Clock.Now()
	r.options.Metrics.observe(reply.outcome, now.Sub(startedAt))
	for _, owner := range r.recordResult(of, reply, now, inFlight) {
		r.options.Notify(owner)
	}
	r.nudge()
}

// lookup recovers from a panic that a name server's reply causes.
func (r *Resolver) lookup(ctx context.Context, of *lookup) (reply dnsReply) {
	defer func() {
		if panicked := recover(); panicked != nil {
			r.options.Log.Info("A lookup panicked: please report it", "panic", panicked)
			reply = dnsReply{outcome: LookupInvalid}
		}
	}()
	if of.servers != nil {
		return of.servers.lookup(ctx, of.question)
	}
	return r.options.lookup(ctx, of.question)
}

// recordResult records a reply, and returns the owners to notify.
func (r *Resolver) recordResult(of *lookup, reply dnsReply, now time.Time, inFlight *int) []probes.Owner {
	r.mu.Lock()
	defer r.mu.Unlock()
	*inFlight--
	if of.abandoned {
		return nil
	}
	before := of.answer
	of.take(reply, now, r.options.Grace)
	of.schedule()
	heap.Push(r.queueOf(of), of)
	if before.same(of.answer) {
		return nil
	}
	owners := make([]probes.Owner, 0, len(of.bounds))
	for owner := range of.bounds {
		owners = append(owners, owner)
	}
	return owners
}

func (r *Resolver) nudge() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// lane is the queue of a lookup.
func (l *lookup) lane() lookupLane {
	switch {
	case l.servers != nil && l.failures > 0:
		return ownFailingLane
	case l.servers != nil:
		return ownLiveLane
	case l.failures > 0:
		return failingLane
	}
	return liveLane
}

// lookupQueue is a heap of lookups, the one that is due first at its top (container/heap).
type lookupQueue []*lookup

func (q lookupQueue) Len() int           { return len(q) }
func (q lookupQueue) Less(i, j int) bool { return q[i].due.Before(q[j].due) }

func (q lookupQueue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].position, q[j].position = i, j
}

// Push implements heap.Interface.
func (q *lookupQueue) Push(x any) {
	added := x.(*lookup)
	added.position = len(*q)
	*q = append(*q, added)
}

// Pop implements heap.Interface.
func (q *lookupQueue) Pop() any {
	last := len(*q) - 1
	popped := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	popped.position = absent
	return popped
}
