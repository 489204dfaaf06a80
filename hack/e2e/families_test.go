//go:build linux && e2e

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

package e2e_test

import (
	"net"
	"strconv"
	"testing"
)

func TestDeathOverUDP(t *testing.T) {
	t.Parallel()
	play(t, "UDP backend killed", 4, quick, func(s *scenario) {
		s.declare(s.endpoints())
		client := s.send(s.pod().Namespace, "udp", s.clusterIP(7), requestRate)
		s.begin()
		s.deaths(client, quick.Refusal(), s.hosts[:3], kill)
		s.finish()
	})
}

func TestDeathOverIPv6(t *testing.T) {
	t.Parallel()
	play(t, "IPv6 backend killed", 4, quick, func(s *scenario) {
		s.ipv6 = true
		s.declare(s.endpoints())
		client := s.sendFromPod()
		s.begin()
		s.deaths(client, quick.Refusal(), s.hosts[:3], kill)
		s.finish()
	})
}

func TestDeathBehindNodePort(t *testing.T) {
	t.Parallel()
	play(t, "backend killed, clients by NodePort", 4, quick, func(s *scenario) {
		outside := s.addHost("client", 1)
		s.hosts = s.hosts[:4]
		s.declare(s.endpoints())
		port := strconv.Itoa(int(s.service.Spec.Ports[0].NodePort))
		client := s.send(outside.Namespace, "tcp", net.JoinHostPort(world.Router().Address.String(), port), requestRate)
		s.begin()
		s.deaths(client, quick.Refusal(), s.hosts[:3], kill)
		s.finish()
	})
}
