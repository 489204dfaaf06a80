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

package v1_test

import (
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	farpointv1 "farpoint.dev/farpoint/api/v1"
)

const notNameserver = "must be an IP address, or one with a port, such as 192.0.2.53, 192.0.2.53:5353 or [2001:db8::53]:53"

// smallest is the manifest that the README shows.
const smallest = `
apiVersion: farpoint.dev/v1
kind: ExternalService
metadata:
  name: legacy-api
  namespace: default
spec:
  endpoints:
  - address: 192.0.2.10
    port: 8080
    healthCheckURL: http://192.0.2.10:8080/health
  - address: 192.0.2.20
    port: 8080
    healthCheckURL: http://192.0.2.20:8080/health
  healthCheckInterval: 30s
  targetService:
    name: legacy-api
    namespace: default
`

// object parses a manifest as kubectl would, without our Go types in between.
func object(manifest string) *unstructured.Unstructured {
	GinkgoHelper()
	parsed := &unstructured.Unstructured{}
	Expect(yaml.Unmarshal([]byte(manifest), &parsed.Object)).To(Succeed())
	return parsed
}

// set puts a value at a path such as "spec.endpoints.0.zone"; numbers index lists.
func set(parsed *unstructured.Unstructured, path string, value any) {
	GinkgoHelper()
	var node any = parsed.Object
	keys := strings.Split(path, ".")
	for i, key := range keys {
		last := i == len(keys)-1
		switch at := node.(type) {
		case map[string]any:
			if last {
				at[key] = value
				return
			}
			if at[key] == nil {
				at[key] = map[string]any{}
			}
			node = at[key]
		case []any:
			node = at[key[0]-'0']
		}
	}
	Fail("no place for " + path)
}

var _ = Describe("the smallest manifest", func() {
	It("is accepted and completed with the defaults", func(ctx SpecContext) {
		created := object(smallest)
		Expect(k8s.Create(ctx, created)).To(Succeed())
		DeferCleanup(k8s.Delete, created)

		spec := created.Object["spec"].(map[string]any)
		Expect(spec["healthCheck"]).To(Equal(map[string]any{
			"failureThreshold": int64(3), "successThreshold": int64(2), "initialState": "NotReady",
		}))
		first := spec["endpoints"].([]any)[0].(map[string]any)
		Expect(first["state"]).To(Equal("Active"))
	})

	It("reads into the Go type and back without a change", func(ctx SpecContext) {
		created := object(smallest)
		Expect(k8s.Create(ctx, created)).To(Succeed())
		DeferCleanup(k8s.Delete, created)

		typed := &farpointv1.ExternalService{}
		Expect(k8s.Get(ctx, client.ObjectKeyFromObject(created), typed)).To(Succeed())
		Expect(k8s.Update(ctx, typed)).To(Succeed(), "stores the default of the status, which creation leaves out")
		before := typed.ResourceVersion
		Expect(k8s.Update(ctx, typed)).To(Succeed())
		Expect(typed.ResourceVersion).To(Equal(before))
	})
})

const (
	passwordInURL = "the URL must not contain a password"
	userInURL     = "the URL may contain a user name only with postgres, mysql, redis and rediss"
)

const (
	plainCredentials      = "without TLS, credentials go to any server that answers at the address: write https://, grpcs:// or rediss:// in the health check URLs, or set healthCheck.sendCredentialsToUnverifiedServers"
	unverifiedCredentials = "with tls.insecureSkipVerify, credentials go to any server that answers at the address: remove it, or set healthCheck.sendCredentialsToUnverifiedServers"
)

var insecure = map[string]any{"insecureSkipVerify": true}

// withCredentials is a health check with credentials and one more field.
func withCredentials(field string, value any) map[string]any {
	return map[string]any{"credentialsSecretRef": map[string]any{"name": "database"}, field: value}
}

// checkedBy is a spec with one URL for its only endpoint.
func checkedBy(url string, check map[string]any) map[string]any {
	return map[string]any{"endpoints": []any{map[string]any{"address": "192.0.2.10"}}, "healthCheckURL": url, "healthCheck": check}
}

// tryMutation creates the smallest manifest with one change, and expects that it is refused with
// this message, or accepted if there is none.
func tryMutation(ctx SpecContext, path string, value any, message string) {
	mutated := object(smallest)
	set(mutated, path, value)
	err := k8s.Create(ctx, mutated)
	if message == "" {
		Expect(err).NotTo(HaveOccurred())
		Expect(k8s.Delete(ctx, mutated)).To(Succeed())
		return
	}
	Expect(err).To(MatchError(ContainSubstring(message)))
}

var _ = DescribeTable("a mutation of the smallest manifest", tryMutation,
	Entry("long name", "metadata.name", strings.Repeat("a", 64), "metadata.name must have at most 63 characters"),
	Entry("no endpoints", "spec.endpoints", []any{}, "should have at least 1 items"),
	Entry("a thousand endpoints", "spec.endpoints", endpoints(1000), ""),
	Entry("a thousand and one endpoints", "spec.endpoints", endpoints(1001), "must have at most 1000 items"),

	Entry("port 0", "spec.endpoints.0.port", 0, "spec.endpoints[0].port in body should be greater than or equal to 1"),
	Entry("port 70000", "spec.endpoints.0.port", 70000, "spec.endpoints[0].port in body should be less than or equal to 65535"),
	Entry("port and ports", "spec.endpoints.0.ports", []any{map[string]any{"port": 80}}, "set port or ports, not both"),
	Entry("port name twice", "spec.ports", []any{map[string]any{"name": "a", "port": 80}, map[string]any{"name": "a", "port": 81}}, "Duplicate value"),
	Entry("port name with a dot", "spec.ports", []any{map[string]any{"name": "a.b", "port": 80}}, "spec.ports[0].name in body should match"),
	Entry("appProtocol", "spec.ports", []any{map[string]any{"port": 80, "appProtocol": "kubernetes.io/h2c"}}, ""),
	Entry("bad appProtocol", "spec.ports", []any{map[string]any{"port": 80, "appProtocol": "a b"}}, "spec.ports[0].appProtocol in body should match"),
	Entry("bad protocol", "spec.ports", []any{map[string]any{"port": 80, "protocol": "ICMP"}}, "Unsupported value"),

	Entry("hostname with dots", "spec.endpoints.0.hostname", "db.example.com", "hostname must be one lower-case DNS label without dots"),
	Entry("hostname", "spec.endpoints.0.hostname", "db-0", ""),
	Entry("zone that is no label value", "spec.endpoints.0.zone", "eu central", "zone must be a label value"),
	Entry("empty zone", "spec.endpoints.0.zone", "", "zone must be a label value"),
	Entry("zone", "spec.endpoints.0.zone", "eu-central-1a", ""),
	Entry("nodeName", "spec.endpoints.0.nodeName", "Node_1", "nodeName must be the name of a node"),
	Entry("state", "spec.endpoints.0.state", "Gone", "Unsupported value"),

	Entry("user info in a URL", "spec.endpoints.0.healthCheckURL", "http://bob:secret@192.0.2.10/", passwordInURL),
	Entry("user info in a URL without a scheme", "spec.healthCheckURL", "//bob:secret@192.0.2.10/", passwordInURL),
	Entry("user in an HTTP URL", "spec.healthCheckURL", "https://bob@192.0.2.10/", userInURL),
	Entry("user in a database's URL", "spec.healthCheckURL", "postgres://bob@192.0.2.10:5432/app", ""),
	Entry("user in a database's URL without a host", "spec.healthCheckURL", "mysql://bob@", ""),
	Entry("user of a Redis with TLS", "spec.healthCheckURL", "rediss://bob@:6379", ""),
	Entry("password in a database's URL", "spec.healthCheckURL", "postgres://bob:secret@192.0.2.10:5432/app", passwordInURL),
	Entry("empty password in a database's URL", "spec.healthCheckURL", "redis://bob:@192.0.2.10", passwordInURL),
	Entry("password behind another @", "spec.healthCheckURL", "mysql://bob@home:secret@192.0.2.10", passwordInURL),
	Entry("IPv6 address", "spec.healthCheckURL", "redis://bob@[2001:db8::1]:6379", ""),
	Entry("@ in a path", "spec.healthCheckURL", "http:///users/@me", ""),

	Entry("interval 0", "spec.healthCheckInterval", "0s", "must be a duration from 500ms to 1h"),
	Entry("interval that is no string", "spec.healthCheckInterval", 0, "must be of type string"),
	Entry("interval that is no duration", "spec.healthCheckInterval", "10 seconds", "must be a duration from 500ms to 1h"),
	Entry("negative interval", "spec.healthCheckInterval", "-10s", "must be a duration from 500ms to 1h"),
	Entry("interval beyond any clock", "spec.healthCheckInterval", "99999999999999999999h", "must be a duration from 500ms to 1h"),
	Entry("shortest interval", "spec.healthCheckInterval", "500ms", ""),
	Entry("too short an interval", "spec.healthCheckInterval", "499ms", "must be a duration from 500ms to 1h"),
	Entry("longest interval", "spec.healthCheckInterval", "1h", ""),
	Entry("timeout longer than the interval", "spec.healthCheck.timeout", "31s", "healthCheck.timeout must not be longer than healthCheckInterval"),
	Entry("timeout as long as the interval", "spec.healthCheck.timeout", "30s", ""),
	Entry("timeout 0", "spec.healthCheck.timeout", "0s", "must be a duration from 10ms to 1h"),
	Entry("fastInterval longer than the interval", "spec.healthCheck.fastInterval", "31s", "healthCheck.fastInterval must not be longer than healthCheckInterval"),
	Entry("failureThreshold 0", "spec.healthCheck.failureThreshold", 0, "should be greater than or equal to 1"),

	Entry("maxReady", "spec.availability", map[string]any{"minReady": 1, "minAvailable": 2, "maxReady": 2}, ""),
	Entry("maxReady alone", "spec.availability.maxReady", 1, ""),
	Entry("maxReady 0", "spec.availability.maxReady", 0, "should be greater than or equal to 1"),
	Entry("maxReady below minReady", "spec.availability", map[string]any{"minReady": 2, "maxReady": 1}, "availability.maxReady must not be less than availability.minReady: raise it, or lower minReady"),
	Entry("maxReady below minAvailable", "spec.availability", map[string]any{"minAvailable": 2, "maxReady": 1}, "availability.maxReady must not be less than availability.minAvailable: raise it, or lower minAvailable"),
	Entry("minAvailable 0", "spec.availability.minAvailable", 0, "should be greater than or equal to 1"),

	Entry("status range", "spec.healthCheck.http.expectedStatuses", []any{"204", "300-303"}, ""),
	Entry("bad status", "spec.healthCheck.http.expectedStatuses", []any{"2xx"}, "must be a status or a range of them"),
	Entry("drain statuses", "spec.healthCheck.http.drainStatuses", []any{"429", "500-503"}, ""),
	Entry("bad drain status", "spec.healthCheck.http.drainStatuses", []any{"5xx"}, "must be a status or a range of them"),
	Entry("drain status that is expected by default", "spec.healthCheck.http.drainStatuses", []any{"503", "399"}, "drainStatuses and expectedStatuses must have no status in common: remove it from one of them"),
	Entry("drain status that is expected", "spec.healthCheck.http", map[string]any{"expectedStatuses": []any{"200", "300-310"}, "drainStatuses": []any{"201-300"}}, "drainStatuses and expectedStatuses must have no status in common: remove it from one of them"),
	Entry("drain statuses on either side", "spec.healthCheck.http", map[string]any{"expectedStatuses": []any{"200"}, "drainStatuses": []any{"100-199", "201-599"}}, ""),
	Entry("standby statuses", "spec.healthCheck.http.standbyStatuses", []any{"429", "472-473"}, ""),
	Entry("bad standby status", "spec.healthCheck.http.standbyStatuses", []any{"5xx"}, "must be a status or a range of them, such as 503 or 472-473"),
	Entry("standby status that is expected by default", "spec.healthCheck.http.standbyStatuses", []any{"503", "399"}, "standbyStatuses and expectedStatuses must have no status in common: remove it from one of them"),
	Entry("standby status that is a drain status", "spec.healthCheck.http", map[string]any{"drainStatuses": []any{"500-503"}, "standbyStatuses": []any{"429", "503"}}, "standbyStatuses and drainStatuses must have no status in common: remove it from one of them"),
	Entry("standby statuses beside the others", "spec.healthCheck.http", map[string]any{"expectedStatuses": []any{"200"}, "drainStatuses": []any{"500-502"}, "standbyStatuses": []any{"100-199", "201-499", "503-599"}}, ""),
	Entry("Host by header", "spec.healthCheck.http.headers", header("Host", "a"), "for Host use http.host"),
	Entry("metadata header", "spec.healthCheck.http.headers", header("metadata-Flavor", "Google"), "this header must not be set"),
	Entry("connection header", "spec.healthCheck.http.headers", header("Proxy-Connection", "close"), "this header must not be set"),
	Entry("header injection", "spec.healthCheck.http.headers", header("X-A", "a\r\nHost: b"), "a header's value must not contain control characters"),
	Entry("header with a tab", "spec.healthCheck.http.headers", header("X-A", "a\tb"), ""),
	Entry("header name with a blank", "spec.healthCheck.http.headers", header("X A", "a"), "a header's name must contain only letters, digits and dashes"),
	Entry("header", "spec.healthCheck.http.headers", header("X-Probe", "farpoint"), ""),
	Entry("credentials by http", "spec.healthCheck.credentialsSecretRef", map[string]any{"name": "database"}, plainCredentials),
	Entry("credentials by http, as allowed", "spec.healthCheck", withCredentials("sendCredentialsToUnverifiedServers", true), ""),
	Entry("credentials by http, as not allowed", "spec.healthCheck", withCredentials("sendCredentialsToUnverifiedServers", false), plainCredentials),
	Entry("Authorization by http", "spec.healthCheck.http.headers", header("authorization", "Bearer x"), plainCredentials),
	Entry("Authorization by http, as allowed", "spec.healthCheck", map[string]any{
		"sendCredentialsToUnverifiedServers": true, "http": map[string]any{"headers": header("Authorization", "Bearer x")},
	}, ""),
	Entry("credentials by redis", "spec", checkedBy("redis://:6379", withCredentials("timeout", "1s")), plainCredentials),
	Entry("credentials by grpc", "spec", checkedBy("grpc://", withCredentials("timeout", "1s")), plainCredentials),
	Entry("credentials by rediss", "spec", checkedBy("rediss://", withCredentials("timeout", "1s")), ""),
	Entry("credentials by postgres", "spec", checkedBy("postgres://", withCredentials("timeout", "1s")), ""),
	Entry("credentials by mysql without verification", "spec", checkedBy("mysql://", withCredentials("tls", insecure)), ""),
	Entry("credentials by https", "spec", checkedBy("https:///health", withCredentials("timeout", "1s")), ""),
	Entry("credentials by https without verification", "spec", checkedBy("https:///health", withCredentials("tls", insecure)), unverifiedCredentials),
	Entry("credentials by rediss without verification", "spec", checkedBy("rediss://", withCredentials("tls", insecure)), unverifiedCredentials),
	Entry("credentials of nobody", "spec.healthCheck.credentialsSecretRef", map[string]any{"name": ""}, "should be at least 1 chars long"),
	Entry("CA from two places", "spec.healthCheck.tls", map[string]any{
		"caSecretRef": map[string]any{"name": "a"}, "caConfigMapRef": map[string]any{"name": "a"},
	}, "set caSecretRef or caConfigMapRef, not both"),

	Entry("DNS name", "spec.endpoints.0.address", "db.example.com.", ""),
	Entry("name of SRV records", "spec.endpoints.0.address", "srv://_postgresql._tcp.example.internal", ""),
	Entry("minTTL of nothing", "spec.dns.minTTL", "0s", "must be a duration from 1s to 1h"),
	Entry("minTTL that is no duration", "spec.dns.minTTL", "5", "must be a duration from 1s to 1h"),
	Entry("minTTL beyond the default of maxTTL", "spec.dns.minTTL", "10m", "dns.minTTL must not be longer than dns.maxTTL (5m if left out)"),
	Entry("minTTL as long as maxTTL", "spec.dns", map[string]any{"minTTL": "1h", "maxTTL": "1h"}, ""),
	Entry("maxTTL beyond the default of minTTL", "spec.dns.maxTTL", "2s", "dns.minTTL must not be longer than dns.maxTTL"),
	Entry("maxTTL of days", "spec.dns.maxTTL", "25h", "must be a duration from 1s to 24h"),
	Entry("an end of an active state", "spec.endpoints.0.stateUntil", "2030-01-01T00:00:00Z", "stateUntil ends the states Draining and Disabled: set state to one of them, or remove stateUntil"),
	Entry("an end of a state of an endpoint", "spec.endpoints", []any{map[string]any{"address": "192.0.2.1", "state": "Draining", "stateUntil": "2030-01-01T00:00:00Z"}}, ""),
	Entry("an end that is no time", "spec.endpoints", []any{map[string]any{"address": "192.0.2.1", "state": "Draining", "stateUntil": "tomorrow"}}, "must be of type date-time"),
	Entry("serverName", "spec.endpoints.0.serverName", "db.example.com", ""),
	Entry("serverName with capitals", "spec.endpoints.0.serverName", "DB.example.com", "serverName must be a DNS name in lower case, such as db.example.com"),
	Entry("serverName with a line break", "spec.endpoints.0.serverName", "db.example.com\r\nX-Role: admin", "serverName must be a DNS name in lower case, such as db.example.com"),
	Entry("serverName of a DNS name", "spec.endpoints", []any{map[string]any{"address": "db.example.com", "serverName": "db.example.com"}}, "serverName is for endpoints given by an IP address, and a DNS name is its own server name: remove serverName"),
	Entry("states of endpoints", "spec.endpointStates", []any{map[string]any{"address": "192.0.2.10", "state": "Draining"}, map[string]any{"address": "192.0.2.10", "port": int64(80), "state": "Disabled", "until": "2030-01-01T00:00:00Z"}}, ""),
	Entry("a state of an endpoint twice", "spec.endpointStates", []any{map[string]any{"address": "192.0.2.10", "state": "Draining"}, map[string]any{"address": "192.0.2.10", "state": "Disabled"}}, "Duplicate value"),
	Entry("an end of an active entry", "spec.endpointStates", []any{map[string]any{"address": "192.0.2.10", "state": "Active", "until": "2030-01-01T00:00:00Z"}}, "until ends the states Draining and Disabled: set one of them, or remove until"),
	Entry("an unknown state of an endpoint", "spec.endpointStates", []any{map[string]any{"address": "192.0.2.10", "state": "Gone"}}, "Unsupported value"),
	Entry("keepFor", "spec.dns.keepFor", "10m", ""),
	Entry("keepFor of nothing", "spec.dns.keepFor", "0s", "must be a duration from 1s to 24h, such as 10m"),
	Entry("keepFor of days", "spec.dns.keepFor", "25h", "must be a duration from 1s to 24h, such as 10m"),
	Entry("keepFor and names", "spec.dns", map[string]any{"keepFor": "10m", "publish": "FQDN"}, "dns.keepFor keeps addresses, and publish: FQDN publishes names: remove one of them"),
	Entry("name servers", "spec.dns.nameservers", []any{"192.0.2.53", "192.0.2.53:5353", "[2001:db8::53]:53"}, ""),
	Entry("an IPv6 name server", "spec.dns.nameservers", []any{"2001:db8::53"}, ""),
	Entry("a name server by name", "spec.dns.nameservers", []any{"ns.example"}, notNameserver),
	Entry("a name server with port 0", "spec.dns.nameservers", []any{"192.0.2.53:0"}, notNameserver),
	Entry("a name server with port 65536", "spec.dns.nameservers", []any{"192.0.2.53:65536"}, notNameserver),
	Entry("a name server with a zone", "spec.dns.nameservers", []any{"fe80::1%eth0"}, notNameserver),
	Entry("an IPv6 name server without brackets", "spec.dns.nameservers", []any{"2001:db8:0:0:0:0:0:53:53"}, notNameserver),
	Entry("four name servers", "spec.dns.nameservers", []any{"192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"}, "must have at most 3 items"),
	Entry("name servers and names", "spec.dns", map[string]any{"nameservers": []any{"192.0.2.53"}, "publish": "FQDN"}, "dns.nameservers resolves names here, and publish: FQDN lets consumers do that: remove one of them"),
	Entry("a family", "spec.dns.ipFamilies", []any{"IPv5"}, "Unsupported value"),
	Entry("a family twice", "spec.dns.ipFamilies", []any{"IPv4", "IPv4"}, "Duplicate value"),
	Entry("both families", "spec.dns.ipFamilies", []any{"IPv6", "IPv4"}, ""),
	Entry("publish", "spec.dns.publish", "Name", "Unsupported value"),
	Entry("publish names", "spec.dns.publish", "FQDN", ""),

	Entry("reserved label", "spec.endpointSlices.labels", map[string]any{"kubernetes.io/service-name": "other"}, "labels under kubernetes.io, k8s.io and farpoint.dev are reserved"),
	Entry("reserved label below a subdomain", "spec.endpointSlices.labels", map[string]any{"endpointslice.kubernetes.io/managed-by": "me"}, "are reserved"),
	Entry("label value", "spec.endpointSlices.labels", map[string]any{"team": "a b"}, "labels must have qualified names as keys and label values as values"),
	Entry("label", "spec.endpointSlices.labels", map[string]any{"example.com/team": "payments"}, ""),
	Entry("annotation", "spec.endpointSlices.annotations", map[string]any{"Example.com/note": "any text, even this"}, ""),
	Entry("maxEndpoints", "spec.endpointSlices.maxEndpoints", 1001, "should be less than or equal to 1000"),

	Entry("service without ports", "spec.serviceTemplate", map[string]any{"spec": map[string]any{}}, "ports may be empty only for a headless Service"),
	Entry("headless service without ports", "spec.serviceTemplate", map[string]any{"spec": map[string]any{"clusterIP": "None"}}, ""),
	Entry("affinity config without affinity", "spec.serviceTemplate", map[string]any{"spec": map[string]any{
		"ports":                 []any{map[string]any{"port": 80}},
		"sessionAffinityConfig": map[string]any{"clientIP": map[string]any{"timeoutSeconds": 60}},
	}}, "sessionAffinityConfig needs sessionAffinity: ClientIP"),
	Entry("service name", "spec.targetService.name", "Legacy.API", "targetService.name must be the name of a Service"),
)

func endpoints(n int) []any {
	list := make([]any, n)
	for i := range list {
		list[i] = map[string]any{"address": "192.0.2.1", "port": int64(i + 1), "zone": "a", "hostname": "b", "healthCheckURL": "http:///"}
	}
	return list
}

func header(name, value string) []any {
	return []any{map[string]any{"name": name, "value": value}}
}
