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

package targets_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/controllers/slicestate"
	"farpoint.dev/farpoint/controllers/targets"
	"farpoint.dev/farpoint/probes/egress"
	"farpoint.dev/farpoint/probes/protocol"
	"farpoint.dev/farpoint/probes/scheduler"
	"farpoint.dev/farpoint/probes/transport"
	"farpoint.dev/farpoint/test/fixtures"
)

func TestPlan_InvalidEndpoints_AreRejected(t *testing.T) {
	good := fixtures.At("192.0.2.1", 8080)
	with := func(change func(*farpointv1.Endpoint)) farpointv1.Endpoint {
		changed := fixtures.At("192.0.2.2", 8080)
		change(&changed)
		return changed
	}
	url := func(text string) farpointv1.Endpoint {
		return with(func(e *farpointv1.Endpoint) { e.HealthCheckURL = farpointv1.HealthCheckURL(text) })
	}
	tests := []struct {
		name            string
		bad             farpointv1.Endpoint
		reason, message string
	}{
		{"no address", fixtures.At("10.300.1.10", 80), farpointv1.InvalidAddressReason, `"10.300.1.10" is not an IPv4 or IPv6 address`},
		{"leading zeros", fixtures.At("192.0.2.010", 80), farpointv1.InvalidAddressReason, "is not an IPv4 or IPv6 address"},
		{"zone index", fixtures.At("fe80::1%eth0", 80), farpointv1.InvalidAddressReason, "is not an IPv4 or IPv6 address"},
		{"loopback", fixtures.At("127.0.0.1", 80), farpointv1.RefusedAddressReason, "127.0.0.1 is a loopback address, which no Service can lead to: write the address at which nodes reach the endpoint"},
		{"loopback 6", fixtures.At("::1", 80), farpointv1.RefusedAddressReason, "is a loopback address"},
		{"link-local", fixtures.At("169.254.169.254", 80), farpointv1.RefusedAddressReason, "is a link-local address"},
		{"link-local 6", fixtures.At("fe80::1", 80), farpointv1.RefusedAddressReason, "is a link-local address"},
		{"multicast", fixtures.At("224.0.0.1", 80), farpointv1.RefusedAddressReason, "is a multicast address"},
		{"wider multicast", fixtures.At("239.1.2.3", 80), farpointv1.RefusedAddressReason, "is a multicast address"},
		{"multicast 6", fixtures.At("ff02::1", 80), farpointv1.RefusedAddressReason, "is a multicast address"},
		{"broadcast", fixtures.At("255.255.255.255", 80), farpointv1.RefusedAddressReason, "is the broadcast address"},
		{"unspecified", fixtures.At("0.0.0.0", 80), farpointv1.RefusedAddressReason, "is an unspecified address"},
		{"cloud metadata", fixtures.At("100.100.100.200", 80), farpointv1.RefusedAddressReason, "100.100.100.200 is a cloud metadata address: write another address, or have the operator's administrator allow it (--allowed-cidrs)"},
		{"unspecified 6", fixtures.At("::", 80), farpointv1.RefusedAddressReason, "is an unspecified address"},
		{"mapped", fixtures.At("::ffff:192.0.2.2", 80), farpointv1.RefusedAddressReason, "mapped into IPv6: write 192.0.2.2"},
		{"port 0", fixtures.At("192.0.2.2", 0), farpointv1.InvalidPortReason, "port 0 is not from 1 to 65535"},
		{"port 70000", fixtures.At("192.0.2.2", 70000), farpointv1.InvalidPortReason, "port 70000 is not from 1 to 65535"},
		{"duplicate", fixtures.At("192.0.2.1", 8080), farpointv1.DuplicateEndpointReason, "has the address and port of spec.endpoints[0]"},
		{"zone", with(func(e *farpointv1.Endpoint) { e.Zone = "eu central" }), farpointv1.InvalidTopologyReason, `zone "eu central"`},
		{"hostname", with(func(e *farpointv1.Endpoint) { e.Hostname = "db.example" }), farpointv1.InvalidTopologyReason, `hostname "db.example"`},
		{"nodeName", with(func(e *farpointv1.Endpoint) { e.NodeName = "Node_1" }), farpointv1.InvalidTopologyReason, `nodeName "Node_1"`},
		{"nine forZones", with(func(e *farpointv1.Endpoint) { e.ForZones = strings.Split("abcdefghi", "") }), farpointv1.InvalidTopologyReason, "forZones has 9 zones, more than 8"},
		{"forZones that is no label value", with(func(e *farpointv1.Endpoint) { e.ForZones = []string{"a", "eu central"} }), farpointv1.InvalidTopologyReason, `forZones "eu central"`},
		{"forZones twice", with(func(e *farpointv1.Endpoint) { e.ForZones = []string{"a", "b", "a"} }), farpointv1.InvalidTopologyReason, `forZones has "a" twice`},
		{"ftp", url("ftp://192.0.2.2/"), farpointv1.InvalidHealthCheckURLReason, `unknown scheme "ftp": use one of `},
		{"no scheme", url("192.0.2.2:80"), farpointv1.InvalidHealthCheckURLReason, "healthCheckURL"},
		{"unparsable", url("http://[::1"), farpointv1.InvalidHealthCheckURLReason, "healthCheckURL cannot be parsed"},
		{"bad port in URL", url("http://192.0.2.2:99999/"), farpointv1.InvalidHealthCheckURLReason, "port"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := fixtures.Planned(t, farpointv1.ExternalServiceSpec{Endpoints: []farpointv1.Endpoint{good, test.bad, fixtures.At("192.0.2.9", 8080)}}, fixtures.OnePort)
			if len(got.Accepted) != 2 || len(got.Rejected) != 1 {
				t.Fatalf("%d accepted, rejected %v; want the other two accepted", len(got.Accepted), got.Rejected)
			}
			if refused := got.Rejected[1]; refused.Reason != test.reason || !strings.Contains(refused.Message, test.message) {
				t.Errorf("%s: %q, want %s: %q", refused.Reason, refused.Message, test.reason, test.message)
			}
		})
	}
}

func TestPlan_SameAddress_IsDuplicateOnlyWithSameProtocolAndPort(t *testing.T) {
	dns := func(protocol corev1.Protocol) farpointv1.Endpoint {
		return farpointv1.Endpoint{Address: "192.0.2.1", HealthCheckURL: "tcp://:53", Ports: []farpointv1.EndpointPort{{Port: 53, Protocol: protocol}}}
	}
	got := fixtures.Planned(t, farpointv1.ExternalServiceSpec{Endpoints: []farpointv1.Endpoint{
		dns(corev1.ProtocolTCP), dns(corev1.ProtocolUDP), fixtures.At("192.0.2.1", 80), fixtures.At("2001:db8:0::0001", 80), fixtures.At("2001:db8::1", 80),
	}}, nil)
	var names []string
	for _, endpoint := range got.Accepted {
		names = append(names, endpoint.Name)
	}
	want := "192.0.2.1:53 192.0.2.1:53/UDP 192.0.2.1:80 [2001:db8::1]:80"
	if strings.Join(names, " ") != want || len(got.Rejected) != 1 {
		t.Errorf("accepted %v, rejected %v; want %s and one duplicate", names, got.Rejected, want)
	}
}

func TestPorts(t *testing.T) {
	h2c := "kubernetes.io/h2c"
	withProtocol := []corev1.ServicePort{{Name: "grpc", Port: 80, AppProtocol: &h2c}}
	listed := func(ports ...farpointv1.EndpointPort) farpointv1.Endpoint {
		return farpointv1.Endpoint{Address: "192.0.2.1", Ports: ports}
	}
	tests := []struct {
		name     string
		endpoint farpointv1.Endpoint
		common   []farpointv1.EndpointPort
		service  []corev1.ServicePort
		want     string // name/protocol:number, or part of the error
	}{
		{"own number in the place of the Service's only port", fixtures.At("192.0.2.1", 9), nil, fixtures.OnePort, "http/TCP:9"},
		{"own number in the place of the only common port", fixtures.At("192.0.2.1", 9), []farpointv1.EndpointPort{{Name: "web", Port: 1}}, fixtures.OnePort, "web/TCP:9"},
		{"own number with a Service without ports", fixtures.At("192.0.2.1", 9), nil, nil, "/TCP:9"},
		{"own number among several", fixtures.At("192.0.2.1", 9), nil, fixtures.TwoPorts, `port is for a single port, but the Service has 2 ("http", "admin")`},
		{"own number among several common ones", fixtures.At("192.0.2.1", 9), []farpointv1.EndpointPort{{Name: "a", Port: 1}, {Name: "b", Port: 2}}, nil, "port is for a single port, but spec.ports has 2"},
		{"own list", listed(farpointv1.EndpointPort{Name: "a", Port: 1, Protocol: corev1.ProtocolUDP}, farpointv1.EndpointPort{Name: "b", Port: 2}), nil, fixtures.TwoPorts, "a/UDP:1 b/TCP:2"},
		{"one unnamed port is the Service's", listed(farpointv1.EndpointPort{Port: 1}), nil, fixtures.OnePort, "http/TCP:1"},
		{"appProtocol comes from the Service", listed(farpointv1.EndpointPort{Port: 1}), nil, withProtocol, "grpc/TCP:1 kubernetes.io/h2c"},
		{"common ports", farpointv1.Endpoint{Address: "192.0.2.1"}, []farpointv1.EndpointPort{{Name: "http", Port: 7}}, fixtures.OnePort, "http/TCP:7"},
		{"the Service's numeric target ports", farpointv1.Endpoint{Address: "192.0.2.1"}, nil, fixtures.TwoPorts, "http/TCP:8080"},
		{"the Service's port without a target", farpointv1.Endpoint{Address: "192.0.2.1"}, nil, []corev1.ServicePort{{Port: 80}}, "/TCP:80"},
		{"the Service's protocol comes with an own number", farpointv1.Endpoint{Address: "192.0.2.1", Port: new(int32(9)), HealthCheckURL: "tcp://:80"}, nil, []corev1.ServicePort{{Name: "dns", Port: 53, Protocol: corev1.ProtocolUDP}}, "dns/UDP:9"},
		{"SCTP and the Service's appProtocol by name", listed(farpointv1.EndpointPort{Name: "diameter", Port: 3868, Protocol: corev1.ProtocolSCTP}, farpointv1.EndpointPort{Name: "grpc", Port: 2}), nil, withProtocol, "diameter/SCTP:3868 grpc/TCP:2 kubernetes.io/h2c"},
		{"its own appProtocol before the Service's", listed(farpointv1.EndpointPort{Name: "grpc", Port: 1, AppProtocol: new("example.com/own")}), nil, withProtocol, "grpc/TCP:1 example.com/own"},
		{"a name twice", listed(farpointv1.EndpointPort{Name: "a", Port: 1}, farpointv1.EndpointPort{Name: "a", Port: 2, Protocol: corev1.ProtocolUDP}), nil, fixtures.TwoPorts, `two ports are named "a"`},
		{"a name that is none", listed(farpointv1.EndpointPort{Name: "A_b", Port: 1}), nil, fixtures.TwoPorts, `port name "A_b": `},
		{"an appProtocol that is none", listed(farpointv1.EndpointPort{Name: "a", Port: 1, AppProtocol: new("a b")}), nil, fixtures.TwoPorts, `appProtocol "a b": `},
		{"an unknown protocol", listed(farpointv1.EndpointPort{Name: "a", Port: 1, Protocol: "ICMP"}), nil, fixtures.TwoPorts, `protocol "ICMP" is not TCP, UDP or SCTP`},
		{"none anywhere", farpointv1.Endpoint{Address: "192.0.2.1"}, nil, fixtures.TwoPorts[1:], "set port or ports"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := fixtures.Planned(t, farpointv1.ExternalServiceSpec{Ports: test.common, Endpoints: []farpointv1.Endpoint{test.endpoint}}, test.service)
			if len(got.Rejected) > 0 {
				if !strings.Contains(got.Rejected[0].Message, test.want) {
					t.Errorf("rejected: %s; want %s", got.Rejected[0].Message, test.want)
				}
				return
			}
			var words []string
			for _, port := range got.Accepted[0].Ports.Ports {
				words = append(words, *port.Name+"/"+string(*port.Protocol)+":"+strconv.Itoa(int(*port.Port)))
				if port.AppProtocol != nil {
					words = append(words, *port.AppProtocol)
				}
			}
			if strings.Join(words, " ") != test.want {
				t.Errorf("got %v, want %s", words, test.want)
			}
		})
	}
}

func TestIdentity(t *testing.T) {
	base := farpointv1.ExternalServiceSpec{Endpoints: []farpointv1.Endpoint{fixtures.At("192.0.2.1", 80)}, HealthCheckURL: "http:///health"}
	same := func(change func(*farpointv1.ExternalServiceSpec)) bool {
		changed := *base.DeepCopy()
		change(&changed)
		return fixtures.Planned(t, changed, fixtures.OnePort).Probers[0].Identity == fixtures.Planned(t, base, fixtures.OnePort).Probers[0].Identity
	}
	if !same(func(s *farpointv1.ExternalServiceSpec) {
		s.HealthCheckInterval = &metav1.Duration{Duration: time.Minute}
		s.HealthCheck.FailureThreshold = 9
	}) {
		t.Error("when and how often a target is probed changes what it is")
	}
	changes := map[string]func(*farpointv1.ExternalServiceSpec){
		"URL":     func(s *farpointv1.ExternalServiceSpec) { s.HealthCheckURL = "http:///ready" },
		"address": func(s *farpointv1.ExternalServiceSpec) { s.Endpoints[0].Address = "192.0.2.2" },
		"port":    func(s *farpointv1.ExternalServiceSpec) { s.Endpoints[0].Port = new(int32(81)) },
		"http": func(s *farpointv1.ExternalServiceSpec) {
			s.HealthCheck.HTTP = &farpointv1.HTTPHealthCheck{Method: "HEAD"}
		},
		"tcp": func(s *farpointv1.ExternalServiceSpec) {
			s.HealthCheck.TCP = &farpointv1.TCPHealthCheck{Steps: []farpointv1.ProbeStep{{Expect: "220"}}}
		},
		"udp": func(s *farpointv1.ExternalServiceSpec) {
			s.HealthCheck.UDP = &farpointv1.UDPHealthCheck{Steps: []farpointv1.ProbeStep{{SendBase64: "GwAA"}, {Expect: "x"}}}
		},
		"proxyProtocol": func(s *farpointv1.ExternalServiceSpec) { s.HealthCheck.ProxyProtocol = farpointv1.ProxyProtocolV1 },
		"version": func(s *farpointv1.ExternalServiceSpec) {
			s.HealthCheck.HTTP = &farpointv1.HTTPHealthCheck{Version: farpointv1.HTTP2}
		},
		"minValidity": func(s *farpointv1.ExternalServiceSpec) {
			s.HealthCheck.TLS = &farpointv1.TLSHealthCheck{MinValidity: &metav1.Duration{Duration: time.Hour}}
		},
		"grpc": func(s *farpointv1.ExternalServiceSpec) {
			s.HealthCheck.GRPC = &farpointv1.GRPCHealthCheck{Service: "a"}
		},
		"dns": func(s *farpointv1.ExternalServiceSpec) { s.HealthCheck.DNS = &farpointv1.DNSHealthCheck{Type: "MX"} },
		"postgres": func(s *farpointv1.ExternalServiceSpec) {
			s.HealthCheck.Postgres = &farpointv1.PostgresHealthCheck{Query: "SELECT true"}
		},
		"mysql": func(s *farpointv1.ExternalServiceSpec) {
			s.HealthCheck.MySQL = &farpointv1.MySQLHealthCheck{Role: farpointv1.RoleReplica}
		},
		"redis": func(s *farpointv1.ExternalServiceSpec) {
			s.HealthCheck.Redis = &farpointv1.RedisHealthCheck{MaxLag: &metav1.Duration{Duration: time.Second}}
		},
		"sending of credentials": func(s *farpointv1.ExternalServiceSpec) { s.HealthCheck.SendCredentialsToUnverifiedServers = true },
	}
	for name, change := range changes {
		if same(change) {
			t.Errorf("another %s is the same probe", name)
		}
	}
}

func TestPlan_DisabledEndpoints_AreNotProbed(t *testing.T) {
	disabled := fixtures.At("192.0.2.2", 8080)
	disabled.State = farpointv1.EndpointDisabled
	got := fixtures.Planned(t, farpointv1.ExternalServiceSpec{Endpoints: []farpointv1.Endpoint{fixtures.At("192.0.2.1", 8080), disabled}}, fixtures.OnePort)
	if list := got.ProbeTargets(targets.Schedule{}, &slicestate.Prior{}); len(got.Accepted) != 2 || len(list) != 1 || list[0].Key != "192.0.2.1:8080" {
		t.Errorf("%d accepted, probes %v", len(got.Accepted), list)
	}
}

func TestPlan_OnlyUDP_NeedsAURL(t *testing.T) {
	syslog := farpointv1.Endpoint{Address: "192.0.2.1", Ports: []farpointv1.EndpointPort{{Port: 514, Protocol: corev1.ProtocolUDP}}}
	got := fixtures.Planned(t, farpointv1.ExternalServiceSpec{Endpoints: []farpointv1.Endpoint{syslog}}, nil)
	if refused := got.Rejected[0]; refused.Reason != farpointv1.InvalidHealthCheckURLReason {
		t.Errorf("%v", got)
	}
}

func TestTiming(t *testing.T) {
	second := metav1.Duration{Duration: time.Second}
	tests := []struct {
		name string
		spec farpointv1.ExternalServiceSpec
		want scheduler.Timing
	}{
		{"defaults", farpointv1.ExternalServiceSpec{}, scheduler.Timing{Interval: 10 * time.Second, FastInterval: time.Second, Timeout: 2 * time.Second}},
		{"defaults follow a short interval", farpointv1.ExternalServiceSpec{HealthCheckInterval: &metav1.Duration{Duration: 500 * time.Millisecond}}, scheduler.Timing{Interval: 500 * time.Millisecond, FastInterval: 500 * time.Millisecond, Timeout: 500 * time.Millisecond}},
		{"as said", farpointv1.ExternalServiceSpec{HealthCheckInterval: &metav1.Duration{Duration: time.Minute}, HealthCheck: farpointv1.HealthCheck{Timeout: &second, FastInterval: &second}}, scheduler.Timing{Interval: time.Minute, FastInterval: time.Second, Timeout: time.Second}},
	}
	for _, test := range tests {
		if got := targets.TimingOf(&test.spec); got != test.want {
			t.Errorf("%s: %+v, want %+v", test.name, got, test.want)
		}
	}
}

func TestSettings_Faults_NameTheField(t *testing.T) {
	tests := map[string]farpointv1.HTTPHealthCheck{
		"healthCheck.http.expectedBody is not a regular expression": {ExpectedBody: "("},
		"healthCheck.http.expectedBody takes too long to match":     {ExpectedBody: "[ab]{1,1000}c"},
		"healthCheck.http.expectedStatuses: \"399-200\"":            {ExpectedStatuses: []string{"399-200"}},
		"healthCheck.http.drainStatuses: \"5xx\"":                   {DrainStatuses: []string{"5xx"}},
	}
	for message, check := range tests {
		spec := &farpointv1.ExternalServiceSpec{HealthCheck: farpointv1.HealthCheck{HTTP: &check}}
		if _, err := targets.NewSettings(spec, targets.Certificates{}, targets.Login{}); err == nil || !strings.Contains(err.Error(), message) {
			t.Errorf("got %v, want %s", err, message)
		}
	}
}

// Probes with different credentials differ, and a probe with credentials is not shared with other
// namespaces.
func TestIdentity_OtherCredentials_Differs(t *testing.T) {
	spec := farpointv1.ExternalServiceSpec{Endpoints: []farpointv1.Endpoint{fixtures.At("192.0.2.1", 8080), fixtures.At("192.0.2.2", 8080)}}
	spec.HealthCheck.SendCredentialsToUnverifiedServers = true
	spec.Endpoints[0].HealthCheckURL = "http:///" // the other one's probe takes no credentials
	egress := egress.NewPolicy(egress.Rules{})
	planner := targets.Planner{Registry: protocol.NewRegistry(transport.NewDialer(egress)), Egress: egress}
	targetsBy := func(credentials *protocol.Credentials) []scheduler.Target {
		common, err := targets.NewSettings(&spec, targets.Certificates{}, targets.Login{Credentials: credentials})
		if err != nil {
			t.Fatal(err)
		}
		return planner.Plan(&targets.Expansion{Spec: &spec}, fixtures.OnePort, fixtures.ProbedBy(common), &slicestate.Prior{}).ProbeTargets(targets.ScheduleOf(&spec), &slicestate.Prior{})
	}
	none := targetsBy(nil)
	seen := map[scheduler.Identity]bool{none[0].Identity: true}
	for _, credentials := range []protocol.Credentials{
		{Username: "ab", Password: "c"}, {Username: "a", Password: "bc"}, {Password: "abc"}, {Token: "abc"},
	} {
		got := targetsBy(&credentials)
		if seen[got[0].Identity] || !got[0].Private {
			t.Errorf("%q, %q: shared with others", credentials.Username, credentials.Password)
		}
		seen[got[0].Identity] = true
		if got[1].Identity != none[1].Identity {
			t.Error("a probe that takes no credentials depends on them")
		}
	}
}

// The server name of an endpoint is the name that its probe uses, as a DNS name is.
func TestIdentity_ServerName_IsThatOfAProbeByName(t *testing.T) {
	identityOf := func(name, serverName string) scheduler.Identity {
		t.Helper()
		spec := fixtures.SpecOf("192.0.2.1")
		spec.Endpoints[0].ServerName = serverName
		spec.HealthCheckURL = "https:///health"
		expansion := &targets.Expansion{Spec: spec}
		if name != "" {
			spec.Endpoints[0].Address = name
			expansion = expanding(zone{name + " A": resolved("192.0.2.1")}).Expand(spec)
		}
		planned := fixtures.PlannedWith(t, expansion, fixtures.OnePort)
		if len(planned.Probers) != 1 {
			t.Fatalf("%+v", planned.Rejected)
		}
		return planned.Probers[0].Identity
	}
	if identityOf("", "") == identityOf("", "db.example") || identityOf("", "db.example") == identityOf("", "other.example") {
		t.Error("probes with different server names are shared")
	}
	if identityOf("", "db.example") != identityOf("db.example", "") {
		t.Error("the server name is not used as a DNS name is")
	}
}
