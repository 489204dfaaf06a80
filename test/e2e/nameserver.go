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
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"syscall"
	"time"

	"farpoint.dev/farpoint/test/e2e/netns"
)

// NameServer is a machine outside the cluster with a dnsmasq on it, which knows the zone
// "example".
type NameServer struct {
	*netns.Namespace
	Address netip.Addr

	arguments []string
	log       string
	running   *netns.Process
}

// NewNameServer starts a name server with records such as "db.example,198.18.1.10", which may
// be kept for a second.
func (c *Cluster) NewNameServer(records ...string) (*NameServer, error) {
	namespace, list, _, err := c.Router().NewSite("names", 1)
	if err != nil {
		return nil, err
	}
	server := &NameServer{
		Namespace: namespace,
		Address:   list[0],
		arguments: []string{
			"--no-daemon", "--conf-file=/dev/null", "--pid-file=", "--no-resolv", "--no-hosts", "--user=root",
			"--listen-address=" + list[0].String(), "--bind-interfaces", "--local=/example/", "--local-ttl=1",
		},
		log: filepath.Join(c.folder, namespace.Name+".log"),
	}
	for _, record := range records {
		server.arguments = append(server.arguments, "--host-record="+record)
	}
	if err := server.Start(); err != nil {
		return nil, errors.Join(err, server.Remove())
	}
	return server, nil
}

// Start runs dnsmasq and returns once it listens.
func (n *NameServer) Start() (err error) {
	if n.running, err = netns.StartProcess("dnsmasq", n.Command("dnsmasq", n.arguments...), n.log); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for {
		connection, err := n.DialContext(ctx, "tcp", net.JoinHostPort(n.Address.String(), "53"))
		if err == nil {
			return connection.Close()
		}
		if dead := n.running.Alive(); dead != nil {
			return dead
		}
		if ctx.Err() != nil {
			return fmt.Errorf("dnsmasq does not listen, see %s: %w", n.log, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// Kill ends dnsmasq: the host refuses queries.
func (n *NameServer) Kill() error { return n.running.Kill() }

// Freeze stops dnsmasq without ending it: queries get no answer.
func (n *NameServer) Freeze() error { return n.running.Signal(syscall.SIGSTOP) }

// Thaw ends a Freeze.
func (n *NameServer) Thaw() error { return n.running.Signal(syscall.SIGCONT) }

// Remove ends dnsmasq and removes its host.
func (n *NameServer) Remove() error {
	if n.running != nil {
		_ = n.running.Kill() // perhaps it is dead already
	}
	return n.Namespace.Remove()
}
