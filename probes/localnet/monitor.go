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

package localnet

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/utils/clock"
)

// Options are what a Monitor needs.
type Options struct {
	// Echo sends each gateway an echo request in each interval.
	Echo bool
	// Clock is the real one if nil.
	Clock clock.Clock
	// Log gets a line when our network goes away and when it is back.
	Log logr.Logger
}

// Monitor looks at the operator's own network again and again.
type Monitor struct {
	options Options
	// read queries the kernel, and ask a gateway.
	read func() (Snapshot, error)
	ask  func(context.Context, Gateway) (answered, possible bool)

	// latest is nil before the first look.
	latest               atomic.Pointer[Snapshot]
	noCarrier, noGateway atomic.Bool
	// echoes are used by Start's goroutine alone.
	echoes map[Gateway]*echoHistory
}

// New returns a monitor that reports nothing before Start.
func New(options Options) *Monitor {
	if options.Clock == nil {
		options.Clock = clock.RealClock{}
	}
	return &Monitor{options: options, read: read, ask: ping, echoes: map[Gateway]*echoHistory{}}
}

// interval is how often the monitor looks. With minSilence, it notices within two seconds
// that a gateway is gone, which is before a probe of the default timeout has failed twice.
const interval = 500 * time.Millisecond

// maxShare bounds the time spent reading from the kernel to a hundredth: a host with a million
// routes is checked less often.
const maxShare = 100

// Start checks the network until the context is done.
func (m *Monitor) Start(ctx context.Context) error {
	for ctx.Err() == nil {
		reading := m.look(ctx)
		select {
		case <-ctx.Done():
		case <-m.options.Clock.After(max(interval, maxShare*reading)):
		}
	}
	return nil
}

// look takes a snapshot, asks the gateways, and decides. It returns how long the kernel took,
// without the gateways.
func (m *Monitor) look(ctx context.Context) (reading time.Duration) {
	started := m.options.Clock.Now()
	snapshot, err := m.read()
	reading = m.options.Clock.Since(started)
	if err != nil {
		// An error proves nothing, and what was known may be outdated.
		m.update(false, false, fmt.Sprintf("cannot read the state of the network: %v", err))
		return reading
	}
	m.latest.Store(&snapshot)
	if m.options.Echo {
		m.askAll(ctx, snapshot.Gateways)
	}
	if ctx.Err() == nil {
		m.update(m.evaluate(&snapshot))
	}
	return reading
}

// askAll asks all gateways at the same time, and forgets former gateways.
func (m *Monitor) askAll(ctx context.Context, gateways []Gateway) {
	before := m.echoes
	m.echoes = make(map[Gateway]*echoHistory, len(gateways))
	var asking sync.WaitGroup
	for _, gateway := range gateways[:min(len(gateways), maxGateways)] {
		history := before[gateway]
		if history == nil {
			history = &echoHistory{}
		}
		m.echoes[gateway] = history
		asking.Go(func() {
			if answered, possible := m.ask(ctx, gateway); possible {
				history.note(answered)
			}
		})
	}
	asking.Wait()
}

// maxGateways bounds how many gateways are sent echo requests.
const maxGateways = 8

// evaluate reports whether no link has a carrier, and whether every default gateway is lost,
// and why.
func (m *Monitor) evaluate(snapshot *Snapshot) (noCarrier, noGateway bool, why string) {
	noCarrier = snapshot.noCarrier()
	causes := make([]string, 0, len(snapshot.Gateways))
	for _, gateway := range snapshot.Gateways {
		cause := snapshot.lost(gateway, m.echoes[gateway])
		if cause == "" {
			return noCarrier, false, ""
		}
		causes = append(causes, fmt.Sprintf("gateway %s: %s", gateway.Addr, cause))
	}
	return noCarrier, len(causes) > 0, strings.Join(causes, "; ")
}

func (m *Monitor) update(noCarrier, noGateway bool, why string) {
	m.noCarrier.Store(noCarrier)
	switch before := m.noGateway.Swap(noGateway); {
	case noGateway && !before:
		m.options.Log.Info("The operator's own network is down; no endpoint behind a gateway is taken out until it is back", "cause", why)
	case before && !noGateway:
		m.options.Log.Info("The operator's own network is back")
	}
}

// Down reports whether no link that leads anywhere has a carrier, and whether every default
// gateway is known to be lost.
func (m *Monitor) Down() (noCarrier, noGateway bool) { return m.noCarrier.Load(), m.noGateway.Load() }

// OnLink reports whether an address is reached without a router.
func (m *Monitor) OnLink(addr netip.Addr) bool {
	latest := m.latest.Load()
	return latest != nil && latest.connects(addr)
}
