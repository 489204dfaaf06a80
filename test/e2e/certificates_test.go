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
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/test/e2e"
)

const (
	day  = 24 * time.Hour
	year = 365 * day
)

// All certificates are out of date at once, as to an operator whose clock is wrong. The test changes
// the certificates instead of the machine's clock.
func TestEveryCertificateSeemsOutOfDate(t *testing.T) {
	t.Parallel()
	for _, fault := range []struct {
		name     string
		from, to time.Duration
	}{
		{"a year too old", -2 * year, -year},
		{"a year too young", year, 2 * year},
	} {
		t.Run(fault.name, func(t *testing.T) {
			installation(t, "every certificate seems "+fault.name, func(s *scenario) {
				authority, err := e2e.NewAuthority()
				s.Expect(err).NotTo(HaveOccurred())
				s.operate("--guard-max-hold=" + maxHold.String())
				s.addSecureSites(authority, 10, 3)
				s.create(all(s.hosts...), s.trusting(authority))
				s.begin()
				bad := s.certificates(authority, fault.from, fault.to)
				good := s.certificates(authority, -day, day)

				pause(quick.Interval)
				first := time.Now()
				s.present(bad)
				last := time.Now()
				s.Eventually(s.isolated).WithTimeout(maxHold).Should(BeTrue(), "the object is to say so")
				s.recordMax("noticedMs", time.Since(first))
				time.Sleep(time.Until(first.Add(maxHold)))
				s.expectNoneWronglyOut()
				// From then on they are dead, once each of them has failed again.
				s.expectOut(last, quick.Refusal()+maxHold+quick.Fast, s.hosts...)
				s.present(good)
				s.awaitAllIn(quick.Recovery()+10*time.Second, s.hosts...)

				s.begin()
				s.leaving = s.hosts[:1]
				pause(quick.Interval)
				at := time.Now()
				s.Expect(s.hosts[0].Present(bad[s.hosts[0]])).To(Succeed())
				s.expectOut(at, quick.Refusal(), s.hosts[0])
				time.Sleep(quick.Refusal())
				s.finish()
			})
		})
	}
}

// addSecureSites is addSites for hosts that speak HTTPS.
func (s *scenario) addSecureSites(by *e2e.Authority, sites, addresses int) {
	s.t.Helper()
	for range sites {
		host, err := world.NewSecureHost("secure", addresses, by)
		s.Expect(err).NotTo(HaveOccurred())
		s.cleanup(func() { s.Expect(host.Remove()).To(Succeed()) })
		s.hosts = append(s.hosts, host)
	}
}

// trusting sets HTTPS probes that trust only certificates of an authority.
func (s *scenario) trusting(authority *e2e.Authority) func(*corev1.ServiceSpec, *farpointv1.ExternalServiceSpec) {
	s.t.Helper()
	bundle := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: "authority"},
		Data:       map[string]string{"ca.crt": string(authority.PEM)},
	}
	s.Expect(s.ground.cluster.Client.Create(s.ctx, bundle)).To(Succeed())
	return func(_ *corev1.ServiceSpec, spec *farpointv1.ExternalServiceSpec) {
		spec.HealthCheckURL = "https:///health"
		spec.HealthCheck.TLS = &farpointv1.TLSHealthCheck{CAConfigMapRef: &farpointv1.KeyReference{Name: bundle.Name}}
	}
}

// certificates returns new certificates for all hosts, valid between two times from now.
func (s *scenario) certificates(by *e2e.Authority, from, to time.Duration) map[*e2e.Host]e2e.Certificate {
	s.t.Helper()
	signed := map[*e2e.Host]e2e.Certificate{}
	for _, host := range s.hosts {
		certificate, err := by.Sign(host.Addresses, time.Now().Add(from), time.Now().Add(to))
		s.Expect(err).NotTo(HaveOccurred())
		signed[host] = certificate
	}
	return signed
}

// present makes all hosts use other certificates.
func (s *scenario) present(certificates map[*e2e.Host]e2e.Certificate) {
	s.t.Helper()
	for _, host := range s.hosts {
		s.Expect(host.Present(certificates[host])).To(Succeed())
	}
}
