//go:build linux

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

package e2e

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"farpoint.dev/farpoint/test/e2e/netns"
)

// BackendPort is where backends answer, over TCP and UDP.
const BackendPort = 8080

// Host is a machine outside the cluster, with a backend on it.
type Host struct {
	*netns.Namespace
	// Name is what its backend answers.
	Name string
	// Addresses are its IPv4 addresses, Address6 its IPv6 one.
	Addresses []netip.Addr
	Address6  netip.Addr

	binary, log string
	// listen is the address that the backend listens at, empty for all.
	listen string
	// shared means that another host has the namespace and removes it.
	shared bool
	// certificate is what the backend shows; nil if it speaks plain HTTP.
	certificate *Certificate
	backend     *netns.Process
	stdin       io.WriteCloser

	// mu guards what follows. Nothing waits while holding it.
	mu sync.Mutex
	// faults are the times in which the host has a fault. The last one may not be over.
	faults []span
	// connections are the connections so far.
	connections []connection
	// acks signals what the backend has acknowledged.
	acks chan struct{}
}

// span is a span of time. A zero end means that it is not over.
type span struct{ from, to time.Time }

// connection is a connection that a backend has had.
type connection struct {
	at       time.Time
	from, to netip.Addr
}

// Behaviour is how a backend answers; see its own code.
type Behaviour struct {
	Status    int
	Delay     time.Duration
	FailEvery int64
	// Certificate and Key are in PEM. Left out, what it has shown so far stays.
	Certificate, Key string `json:",omitempty"`
}

// NewHost starts a host with as many IPv4 addresses.
func (c *Cluster) NewHost(name string, addresses int) (*Host, error) {
	host, err := c.prepareHost(name, addresses)
	if err != nil {
		return nil, err
	}
	return host.started()
}

// NewSecureHost starts a host that speaks HTTPS, with a certificate by an authority that has
// been valid for an hour.
func (c *Cluster) NewSecureHost(name string, addresses int, by *Authority) (*Host, error) {
	host, err := c.prepareHost(name, addresses)
	if err != nil {
		return nil, err
	}
	certificate, err := by.Sign(host.Addresses, time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour))
	if err != nil {
		return nil, errors.Join(err, host.Remove())
	}
	host.certificate = &certificate
	return host.started()
}

// NewNeighbours starts hosts in one network that have an IPv4 address each. They are backends
// of their own and share a link: a Cut of one is a cut of all.
func (c *Cluster) NewNeighbours(name string, count int) ([]*Host, error) {
	first, err := c.prepareHost(name, count)
	if err != nil {
		return nil, err
	}
	var hosts []*Host
	for i, address := range first.Addresses {
		host := &Host{
			Namespace: first.Namespace,
			Name:      fmt.Sprintf("%s-%d", name, i+1),
			Addresses: []netip.Addr{address},
			binary:    first.binary,
			log:       first.log,
			listen:    address.String(),
			shared:    i > 0,
		}
		if _, err := host.started(); err != nil {
			for _, neighbour := range slices.Backward(hosts) {
				err = errors.Join(err, neighbour.Remove())
			}
			return nil, err
		}
		hosts = append(hosts, host)
	}
	return hosts, nil
}

// prepareHost makes a host whose backend does not run.
func (c *Cluster) prepareHost(name string, addresses int) (*Host, error) {
	namespace, list, address6, err := c.Router().NewSite(name, addresses)
	if err != nil {
		return nil, err
	}
	return &Host{
		Namespace: namespace,
		Name:      name,
		Addresses: list,
		Address6:  address6,
		binary:    c.binaries.Backend,
		log:       filepath.Join(c.folder, namespace.Name+".log"),
	}, nil
}

func (h *Host) started() (*Host, error) {
	if err := h.Start(); err != nil {
		return nil, errors.Join(err, h.Remove())
	}
	return h, nil
}

// Address returns the first IPv4 address of the host.
func (h *Host) Address() netip.Addr { return h.Addresses[0] }

// Has reports whether an address is the host's.
func (h *Host) Has(address string) bool {
	return address == h.Address6.String() || slices.ContainsFunc(h.Addresses, func(addr netip.Addr) bool { return addr.String() == address })
}

// Start runs the backend and ends its fault, if it had one.
func (h *Host) Start() error {
	command := h.Command(h.binary, "-name", h.Name, "-listen", fmt.Sprintf("%s:%d", h.listen, BackendPort), fmt.Sprintf("-tls=%t", h.certificate != nil))
	stdin, err := command.StdinPipe()
	if err != nil {
		return err
	}
	reader, writer, err := os.Pipe()
	if err != nil {
		return err
	}
	command.Stdout = writer
	h.acks = make(chan struct{}, 1)
	h.backend, err = netns.StartProcess(h.Name, command, h.log)
	writer.Close() // the backend has its own
	if err != nil {
		return errors.Join(err, reader.Close())
	}
	h.stdin = stdin
	go h.follow(reader, h.acks)
	if err := h.acknowledged(); err != nil {
		return err
	}
	if h.certificate != nil {
		if err := h.Present(*h.certificate); err != nil {
			return err
		}
	}
	h.endFault()
	return nil
}

// Present makes the backend use another certificate from now on. That is not a fault of the host.
func (h *Host) Present(certificate Certificate) error {
	h.certificate = &certificate
	return h.setBehaviour(Behaviour{Certificate: certificate.Certificate, Key: certificate.Key})
}

// follow reads a backend's output until it is gone.
func (h *Host) follow(stdout io.ReadCloser, acks chan<- struct{}) {
	defer stdout.Close()
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		var event struct {
			At       int64
			From, To string
		}
		if json.Unmarshal(lines.Bytes(), &event) != nil {
			continue // cut short by a kill
		}
		if event.From == "" {
			acks <- struct{}{}
			continue
		}
		from, err := netip.ParseAddr(event.From)
		if err != nil {
			continue
		}
		to, err := netip.ParseAddr(event.To)
		if err != nil {
			continue
		}
		h.mu.Lock()
		h.connections = append(h.connections, connection{time.Unix(0, event.At), from.Unmap(), to.Unmap()})
		h.mu.Unlock()
	}
}

func (h *Host) acknowledged() error {
	select {
	case <-h.acks:
		return nil
	case <-h.backend.Died:
		return h.backend.Alive()
	case <-time.After(10 * time.Second):
		return fmt.Errorf("the backend of %s does not answer, see %s", h.Name, h.log)
	}
}

// Kill ends the backend with SIGKILL: its connections and its port are gone, the host stays. It
// returns the time.
func (h *Host) Kill() (time.Time, error) {
	at := h.beginFault()
	return at, h.backend.Kill()
}

// Cut drops every packet to the host, as if a cable on the way were cut.
func (h *Host) Cut() (time.Time, error) {
	at := h.beginFault()
	return at, h.NFT(`table inet cut {
		chain in { type filter hook prerouting priority -400; drop; }
		chain out { type filter hook output priority -400; drop; }
	}`)
}

// Repair ends a Cut.
func (h *Host) Repair() error {
	if err := h.NFT("delete table inet cut"); err != nil {
		return err
	}
	h.endFault()
	return nil
}

// Freeze stops the backend without ending it: the kernel goes on accepting connections, but there
// is no response.
func (h *Host) Freeze() (time.Time, error) {
	at := h.beginFault()
	return at, h.backend.Signal(syscall.SIGSTOP)
}

// Thaw ends a Freeze.
func (h *Host) Thaw() error {
	if err := h.backend.Signal(syscall.SIGCONT); err != nil {
		return err
	}
	h.endFault()
	return nil
}

// Behave changes how the backend answers. A status or a delay counts as a fault, and so do failing
// health checks.
func (h *Host) Behave(next Behaviour) (time.Time, error) {
	at := time.Now()
	fault := next.Status != 0 || next.Delay != 0 || next.FailEvery == 1
	if fault {
		at = h.beginFault()
	}
	if err := h.setBehaviour(next); err != nil {
		return at, err
	}
	if !fault {
		h.endFault()
	}
	return at, nil
}

// setBehaviour returns once the backend behaves so.
func (h *Host) setBehaviour(next Behaviour) error {
	line, err := json.Marshal(next)
	if err != nil {
		return err
	}
	if _, err := h.stdin.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("tell the backend of %s: %w", h.Name, err)
	}
	return h.acknowledged()
}

// swallowed is an outside network without any host.
var swallowed = netip.MustParsePrefix("172.20.0.0/20")

// Swallow makes the node route a network of 4,096 addresses to the host, which drops the packets. It
// returns the addresses.
func (h *Host) Swallow(node *netns.Node) ([]netip.Addr, error) {
	var list []netip.Addr
	for address := swallowed.Addr(); swallowed.Contains(address); address = address.Next() {
		list = append(list, address)
	}
	return list, errors.Join(
		h.NFT(fmt.Sprintf("table inet swallow { chain in { type filter hook prerouting priority -400; ip daddr %s drop; }; }", swallowed)),
		node.IP(fmt.Sprintf("route replace %s via %s", swallowed, h.Address())),
	)
}

// beginFault notes that a fault begins now, and returns the time.
func (h *Host) beginFault() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	if count := len(h.faults); count == 0 || !h.faults[count-1].to.IsZero() {
		h.faults = append(h.faults, span{from: now})
	}
	return now
}

// endFault notes that a fault has ended.
func (h *Host) endFault() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if count := len(h.faults); count > 0 && h.faults[count-1].to.IsZero() {
		h.faults[count-1].to = time.Now()
	}
}

// HadFault reports whether there was a fault at this time.
func (h *Host) HadFault(at time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, fault := range h.faults {
		if !at.Before(fault.from) && (fault.to.IsZero() || at.Before(fault.to)) {
			return true
		}
	}
	return false
}

// ConnectionsFrom returns the times of the connections from an address since a time, by the address
// of the host that each was made to.
func (h *Host) ConnectionsFrom(address netip.Addr, since time.Time) map[netip.Addr][]time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	times := map[netip.Addr][]time.Time{}
	for _, conn := range h.connections {
		if conn.from == address && conn.at.After(since) {
			times[conn.to] = append(times[conn.to], conn.at)
		}
	}
	return times
}

// Remove ends the backend and removes the host.
func (h *Host) Remove() error {
	if h.backend != nil {
		_ = h.backend.Kill() // perhaps it is dead already
	}
	if h.shared {
		return nil
	}
	return h.Namespace.Remove()
}
