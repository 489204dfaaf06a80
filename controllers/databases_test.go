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
	"net/netip"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/test/servers"
)

// These run on the servers of the Debian packages.
var _ = Describe("a database", func() {
	It("is written to where its primary is, and read where its replica is, when they switch", func(ctx SpecContext) {
		first := servers.NewPostgres(GinkgoT(), "log_connections = on")
		first.Start()
		first.Exec("CREATE ROLE probe LOGIN PASSWORD 'change-me' CONNECTION LIMIT 4")
		first.Exec("CREATE DATABASE ledger")
		second := first.Replica("log_connections = on")
		second.Start()

		startOperator(adminConfig, readingReferencesOften)
		const one, two = "198.51.100.41", "198.51.100.42"
		ledger := loadWith("postgresql-roles.yaml", map[string]netip.AddrPort{one: first.Address(), two: second.Address()})
		const (
			reads  = "\nledger-read: IPv4, postgresql 5432/TCP, farpoint.dev/externalservice=ledger-read"
			writes = "\nledger-write: IPv4, postgresql 5432/TCP, farpoint.dev/externalservice=ledger-write"
			inUse  = " TTF"
			notNow = " FFF"
		)
		ledger.apply(ctx)
		ledger.comesOut(ctx,
			writes+"\n  "+one+inUse+"\n  "+two+notNow,
			reads+"\n  "+one+notNow+"\n  "+two+inUse)

		By("switching the roles")
		first.Stop()
		second.Promote()
		first.Follow(second)
		first.Start()
		start := time.Now()
		switched := []string{
			writes + "\n  " + one + notNow + "\n  " + two + inUse,
			reads + "\n  " + one + inUse + "\n  " + two + notNow,
		}
		ledger.publishes(ctx, switched...)
		for _, object := range ledger.externalServices() {
			Expect(time.Since(start)).To(BeNumerically("<", detectionBound(&object.Spec)))
		}

		By("handing the probes over to another user")
		second.Exec("CREATE ROLE probe2 LOGIN PASSWORD 'changed'")
		published := func() []map[string]int64 {
			return []map[string]int64{versions(ctx, ledger.namespace(), "ledger-read"), versions(ctx, ledger.namespace(), "ledger-write")}
		}
		before := published()
		secret := &corev1.Secret{}
		Expect(k8s.Get(ctx, client.ObjectKey{Namespace: ledger.namespace(), Name: "probe"}, secret)).To(Succeed())
		secret.StringData = map[string]string{"username": "probe2", "password": "changed"}
		Expect(k8s.Update(ctx, secret)).To(Succeed())
		for _, server := range []*servers.Postgres{first, second} {
			Eventually(server.Log).WithTimeout(30*time.Second).Should(ContainSubstring("connection authorized: user=probe2 database=ledger"), "no edit was needed")
		}
		second.Exec("DROP ROLE probe")
		ledger.publishes(ctx, switched...)
		Expect(published()).To(Equal(before), "it made no difference to anybody")
	})

	It("that refuses a login is reported with the reason, without the credentials", func(ctx SpecContext) {
		server := servers.NewRedis(GinkgoT(), "requirepass hunter2")
		server.Start()
		startOperator(adminConfig)
		namespace := newNamespace(ctx)
		address := server.Address().String()
		object := externalService(namespace, "cache",
			farpointv1.HealthCheckURL("redis://"+address),
			farpointv1.HealthCheckURL("redis://somebody@"+address), forbiddenURL)
		object.Spec.HealthCheck.CredentialsSecretRef = &farpointv1.SecretReference{Name: "login"}
		object.Spec.HealthCheck.SendCredentialsToUnverifiedServers = true
		object.Spec.HealthCheck.Redis = &farpointv1.RedisHealthCheck{Role: farpointv1.RoleReplica}
		create(ctx, loginSecret(namespace, corev1.SecretTypeBasicAuth, map[string]string{"password": "hunter2"}), service(namespace, "cache"), object)

		reasons := func() []string {
			var lines []string
			for _, endpoint := range now(ctx, object).Status.Endpoints {
				lines = append(lines, endpoint.Reason)
			}
			return lines
		}
		Eventually(reasons).Should(Equal([]string{"WrongRole", "AuthenticationFailed", farpointv1.InvalidHealthCheckURLReason}))
		Expect(column(ctx, object)()).To(Equal("0/3"))
		output := strings.Join(notes(ctx, object)(), "\n") + message(ctx, object, farpointv1.ReadyCondition) + message(ctx, object, farpointv1.DegradedCondition)
		Expect(output).NotTo(ContainSubstring("hunter2"))
		Expect(output).NotTo(ContainSubstring("WRONGPASS"), "nor does the server's answer")
	})
})

var _ = Describe("a password that a server may not have yet", func() {
	It("is withheld, which is a fault of the settings and says nothing about the endpoint", func(ctx SpecContext) {
		server := servers.NewPostgres(GinkgoT(), "host all probe 127.0.0.1/32 password")
		server.Start()
		server.Exec("CREATE ROLE probe LOGIN PASSWORD 'hunter2'; CREATE ROLE hashed LOGIN PASSWORD 'hunter2'")
		startOperator(adminConfig, readingReferencesOften)
		namespace := newNamespace(ctx)
		address := server.Address().String()
		object := externalService(namespace, "withheld", farpointv1.HealthCheckURL("postgres://"+address+"/postgres"))
		object.Spec.HealthCheck.CredentialsSecretRef = &farpointv1.SecretReference{Name: "login"}
		create(ctx, loginSecret(namespace, corev1.SecretTypeBasicAuth, map[string]string{"username": "probe", "password": "hunter2"}),
			service(namespace, "withheld"), object)

		endpoints := func() []string {
			var lines []string
			for _, endpoint := range now(ctx, object).Status.Endpoints {
				lines = append(lines, string(endpoint.Health)+" "+endpoint.Reason)
			}
			return lines
		}
		Eventually(endpoints).Should(Equal([]string{"Unknown CredentialsWithheld"}))
		Expect(condition(ctx, object, farpointv1.EndpointsAcceptedCondition)()).To(Equal("False CredentialsWithheld"))

		By("allowing credentials where there is no better method")
		edit(ctx, object, func(spec *farpointv1.ExternalServiceSpec) { spec.HealthCheck.SendCredentialsToUnverifiedServers = true })
		Eventually(endpoints).Should(Equal([]string{"Unknown CredentialsWithheld"}))
		Eventually(condition(ctx, object, farpointv1.StalledCondition)).Should(Equal("True CredentialsWithheld"))
		Expect(message(ctx, object, farpointv1.EndpointsAcceptedCondition)).To(And(
			ContainSubstring("the server asks for them by clear text"), ContainSubstring("or store the user's password for SCRAM-SHA-256")))
		Expect(now(ctx, object).Status.Unhealthy).To(BeZero())
		Expect(condition(ctx, object, farpointv1.DegradedCondition)()).To(Equal("False NoEndpointsUnhealthy"))

		By("having the server ask in another way")
		edit(ctx, object, func(spec *farpointv1.ExternalServiceSpec) {
			spec.Endpoints[0].HealthCheckURL = farpointv1.HealthCheckURL("postgres://hashed@" + address + "/postgres")
		})
		Expect(k8s.Update(ctx, loginSecret(namespace, corev1.SecretTypeBasicAuth, map[string]string{"username": "hashed", "password": "hunter2"}))).To(Succeed())
		Eventually(endpoints).WithTimeout(30 * time.Second).Should(Equal([]string{"Healthy "}))
		Eventually(condition(ctx, object, farpointv1.EndpointsAcceptedCondition)).Should(Equal("True Accepted"))
	})
})

// detectionBound is the maximum time until a change of an endpoint is seen, even if the endpoint
// no longer answers.
func detectionBound(spec *farpointv1.ExternalServiceSpec) time.Duration {
	check := spec.HealthCheck
	return spec.HealthCheckInterval.Duration + time.Duration(check.FailureThreshold)*max(check.FastInterval.Duration, check.Timeout.Duration)
}
