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
	"fmt"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/test/e2e"
)

// staleAfter is the time after which the status shows a verdict as stale; see the user guide.
const staleAfter = 30 * time.Second

// No name can be resolved any more, neither those of endpoints nor those in probe URLs. No endpoint
// dies by that.
func TestNameServerIsDead(t *testing.T) {
	t.Parallel()
	for _, fault := range []struct {
		name  string
		begin func(*e2e.NameServer) error
		end   func(*e2e.NameServer) error
	}{
		{"killed", (*e2e.NameServer).Kill, (*e2e.NameServer).Start},
		{"stopped", (*e2e.NameServer).Freeze, (*e2e.NameServer).Thaw},
	} {
		t.Run(fault.name, func(t *testing.T) {
			installation(t, "name server "+fault.name, func(s *scenario) {
				const named, probedByName, numbered = "named", "probed-by-name", "numbered"
				sites := s.addSites("site", 9, 1)
				server, err := world.NewNameServer(records(sites)...)
				s.Expect(err).NotTo(HaveOccurred())
				s.cleanup(func() { s.Expect(server.Remove()).To(Succeed()) })
				s.operate("--resolver=" + server.Address.String())
				var names, byName []farpointv1.Endpoint
				for i := range 3 {
					names = append(names, farpointv1.Endpoint{Address: nameOf(i)})
					byName = append(byName, farpointv1.Endpoint{
						Address:        sites[3+i].Address().String(),
						HealthCheckURL: farpointv1.HealthCheckURL(fmt.Sprintf("http://%s:%d/health", nameOf(3+i), e2e.BackendPort)),
					})
				}
				s.publish(named, names, sites[:3]...)
				s.publish(probedByName, byName, sites[3:6]...)
				s.publish(numbered, all(sites[6:]...), sites[6:]...)
				s.begin()

				pause(s.settings.Interval)
				s.Expect(fault.begin(server)).To(Succeed())
				at := time.Now()
				s.Eventually(s.conditionOf).WithArguments(named, farpointv1.AddressesResolvedCondition).WithTimeout(30 * time.Second).Should(HavePrefix("False "))
				s.recordMax("unresolvedSaidMs", time.Since(at))
				for _, mortal := range []*e2e.Host{sites[0], sites[6]} {
					died, err := mortal.Kill()
					s.Expect(err).NotTo(HaveOccurred())
					s.expectOut(died, quick.Refusal(), mortal)
				}
				s.Eventually(s.conditionOf).WithArguments(probedByName, farpointv1.VerdictsCurrentCondition).WithTimeout(staleAfter + 10*time.Second).Should(HavePrefix("False "))
				s.recordMax("staleSaidMs", time.Since(at))
				s.expectNoneWronglyOut()

				s.Expect(fault.end(server)).To(Succeed())
				s.Eventually(s.conditionOf).WithArguments(named, farpointv1.AddressesResolvedCondition).WithTimeout(time.Minute).Should(HavePrefix("True "))
				time.Sleep(quick.Silence())
				s.finish()
			})
		})
	}
}

// nameOf returns the DNS name of the i-th site.
func nameOf(i int) string { return fmt.Sprintf("web-%d.example", i+1) }

// records returns the DNS records of all sites.
func records(sites []*e2e.Host) []string {
	var list []string
	for i, site := range sites {
		list = append(list, fmt.Sprintf("%s,%s", nameOf(i), site.Address()))
	}
	return list
}

// conditionOf returns a condition of an object as in "False NameServerTimeout"; "" if there is none.
func (s *scenario) conditionOf(name, kind string) string {
	s.t.Helper()
	object := &farpointv1.ExternalService{}
	s.Expect(s.ground.cluster.Client.Get(s.ctx, client.ObjectKey{Namespace: s.namespace, Name: name}, object)).To(Succeed())
	condition := meta.FindStatusCondition(object.Status.Conditions, kind)
	if condition == nil {
		return ""
	}
	return string(condition.Status) + " " + condition.Reason
}
