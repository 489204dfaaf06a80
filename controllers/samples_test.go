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

package controllers_test

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	farpointv1 "farpoint.dev/farpoint/api/v1"
)

const samples = "../config/samples"

var _ = Describe("the samples", func() {
	// Nothing is probed: no operator is running, and the objects are deleted before one does.
	It("are accepted as they stand, one by one and all at once", func(ctx SpecContext) {
		all := rendered(ctx, samples)
		DeferCleanup(func(ctx SpecContext) { all.remove(ctx) })
		for _, file := range sampleFiles() {
			apply(ctx, "", "--filename", filepath.Join(samples, file))
			alone := decoded(read(file))
			for _, object := range alone {
				Expect(all.has(object.GetKind(), object.GetNamespace(), object.GetName())).To(BeTrue(), "%s: list it in kustomization.yaml", file)
			}
			alone.remove(ctx)
		}
		apply(ctx, "", "--kustomize", samples)
	})

	It("name no address and no name but those set aside for documentation", func() {
		documentation := []netip.Prefix{
			netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("203.0.113.0/24"), // RFC 5737
			netip.MustParsePrefix("2001:db8::/32"), // RFC 3849
		}
		for _, file := range sampleFiles() {
			var hosts []string
			for _, object := range ofKind[farpointv1.ExternalService](decoded(read(file)), "ExternalService") {
				hosts = append(hosts, hostOf(object.Spec.HealthCheckURL))
				for _, endpoint := range object.Spec.Endpoints {
					hosts = append(hosts, endpoint.Address, hostOf(endpoint.HealthCheckURL))
				}
			}
			for _, host := range hosts {
				if host != "" && !strings.HasSuffix(host, ".example") { // RFC 2606
					address := netip.MustParseAddr(host)
					Expect(slices.ContainsFunc(documentation, func(p netip.Prefix) bool { return p.Contains(address) })).To(BeTrue(), "%s: %s", file, host)
				}
			}
		}
	})

	DescribeTable("come out as their comments say",
		func(ctx SpecContext, file string, want ...string) {
			startOperator(adminConfig)
			shown := load(file)
			shown.apply(ctx)
			shown.comesOut(ctx, want...)
			for _, object := range shown.externalServices() {
				Eventually(unusual(ctx, object)).Should(BeEmpty())
			}
			shown.goes(ctx)
		},
		Entry("a legacy API", "legacy-api.yaml", `
legacy-api: IPv4, http 8080/TCP, farpoint.dev/externalservice=legacy-api
  192.0.2.10 TTF
  192.0.2.20 TTF`),
		Entry("PostgreSQL", "postgresql.yaml", `
postgresql: IPv4, pgbouncer 6432/TCP, postgresql 5432/TCP, app.kubernetes.io/name=postgresql, farpoint.dev/externalservice=postgresql
  198.51.100.11 TTF
  198.51.100.12 TTF`),
		Entry("a gateway of another cluster", "cross-cluster-gateway.yaml", `
checkout: IPv4, https 443/TCP https, farpoint.dev/externalservice=checkout
  203.0.113.10 TTF zone=eu-central-1a
  203.0.113.11 TTF zone=eu-central-1b`),
		Entry("a primary and a standby", "primary-standby.yaml", `
invoices: IPv4, http 8080/TCP, farpoint.dev/externalservice=invoices
  192.0.2.96 TTF
  198.51.100.96 FFF`),
		Entry("certificates that expire", "certificate-expiry.yaml", `
relay: IPv4, smtps 465/TCP, farpoint.dev/externalservice=relay
  192.0.2.101 TTF
  192.0.2.102 TTF`),
		Entry("many endpoints", "many-endpoints.yaml", fleet(1, 100), fleet(101, 200), fleet(201, 250)),
		Entry("two clusters", "two-clusters.yaml", `
catalog: IPv4, http 30080/TCP, example.com/cluster=a, farpoint.dev/externalservice=cluster-a
  198.51.100.31 TTF
  198.51.100.32 TTF`, `
catalog: IPv4, http 31080/TCP, example.com/cluster=b, farpoint.dev/externalservice=cluster-b
  203.0.113.31 TTF
  203.0.113.32 TTF`),
		Entry("Pods and outside endpoints", "pods-and-outside.yaml", `
shop: IPv4, web 8080/TCP, farpoint.dev/externalservice=shop-outside
  192.0.2.71 TTF
  192.0.2.72 TTF`),
		Entry("tenants", "tenants.yaml", `
settlement: IPv4,  8080/TCP, farpoint.dev/externalservice=settlement
  192.0.2.91 TTF
  203.0.113.91 TTF`),
		Entry("exporters", "exporters.yaml", `
node-exporter: IPv4, metrics 9100/TCP, farpoint.dev/externalservice=node-exporter, service.kubernetes.io/headless=
  192.0.2.81 TTF hostname=db-0 zone=eu-central-1a
  192.0.2.82 TTF hostname=db-1 zone=eu-central-1b
  198.51.100.81 TTF hostname=backup zone=eu-central-1a`),
	)

	It("publish both families of the dual-stack sample, and say that a cluster with IPv4 only lacks one", func(ctx SpecContext) {
		startOperator(adminConfig)
		shown := load("dual-stack.yaml")
		shown.apply(ctx)
		shown.comesOut(ctx, `
telemetry: IPv4, http 8080/TCP, farpoint.dev/externalservice=telemetry
  192.0.2.31 TTF
  192.0.2.32 TTF`, `
telemetry: IPv6, http 8080/TCP, farpoint.dev/externalservice=telemetry
  2001:db8::31 TTF
  2001:db8::32 TTF`)
		Eventually(unusual(ctx, shown.externalServices()[0])).Should(Equal(map[string]string{
			farpointv1.FamiliesMatchedCondition: "False " + farpointv1.AddressFamilyNotInServiceReason,
		}))
		shown.goes(ctx)
	})
})

// fleet is a slice of many-endpoints.yaml.
func fleet(from, to int) string {
	text := "\nsensors: IPv4, http 8080/TCP, farpoint.dev/externalservice=sensors"
	for i := from; i <= to; i++ {
		text += fmt.Sprintf("\n  203.0.113.%d TTF", i)
	}
	return text
}

// sampleFiles returns all samples.
func sampleFiles() []string {
	GinkgoHelper()
	entries, err := os.ReadDir(samples)
	Expect(err).NotTo(HaveOccurred())
	var files []string
	for _, entry := range entries {
		if entry.Name() != "kustomization.yaml" {
			files = append(files, entry.Name())
		}
	}
	Expect(files).To(HaveLen(24), "give a new sample an entry in the table or a story")
	return files
}

func read(file string) string {
	GinkgoHelper()
	text, err := os.ReadFile(filepath.Join(samples, file))
	Expect(err).NotTo(HaveOccurred())
	return string(text)
}
