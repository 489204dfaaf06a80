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
	"strconv"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/test/servers"
)

// moreThanOneReady finds out whether several endpoints are ready.
func moreThanOneReady(present []*discoveryv1.EndpointSlice) []string {
	var ready []string
	for _, slice := range present {
		for _, endpoint := range slice.Endpoints {
			if letter(endpoint.Conditions.Ready) == "T" {
				ready = append(ready, endpoint.Addresses[0])
			}
		}
	}
	if len(ready) < 2 {
		return nil
	}
	return []string{fmt.Sprintf("%v are ready", ready)}
}

var _ = Describe("two servers that switch their roles", func() {
	It("are no fault, and never both published", func(ctx SpecContext) {
		receiver := newAlertmanager()
		receiver.start()
		startOperator(adminConfig, receiver.receive)
		namespace := newNamespace(ctx)
		all := []*servers.Redis{servers.NewRedis(GinkgoT()), servers.NewRedis(GinkgoT())}
		var urls []farpointv1.HealthCheckURL
		for _, server := range all {
			server.Start()
			urls = append(urls, farpointv1.HealthCheckURL("redis://"+server.Address().String()))
		}
		follow := func(replica, master int) {
			all[replica].Do("REPLICAOF", "127.0.0.1", strconv.Itoa(int(all[master].Address().Port())))
		}
		promote := func(server int) { all[server].Do("REPLICAOF", "NO", "ONE") }
		follow(1, 0)
		object := externalService(namespace, "sessions", urls...)
		object.Spec.HealthCheck.Redis = &farpointv1.RedisHealthCheck{Role: farpointv1.RolePrimary}
		object.Spec.Availability.MaxReady = 1
		target := service(namespace, "sessions")
		target.Spec.PublishNotReadyAddresses = true // which has no effect
		seen := watchSlices(ctx, namespace, "sessions", moreThanOneReady)
		create(ctx, target, object)

		published := func() string {
			var words []string
			for _, endpoint := range now(ctx, object).Status.Endpoints {
				words = append(words, fmt.Sprintf("%s %s", endpoint.Health, endpoint.Published))
			}
			return strings.Join(words, ", ")
		}
		states := []string{"Healthy Ready, Ineligible Standby", "Ineligible Standby, Healthy Ready"}
		Eventually(published).Should(Equal(states[0]))
		Expect(now(ctx, object).Status.Standby).To(BeEquivalentTo(1))

		By("switching ten times")
		master := 0
		for range 10 {
			follow(master, 1-master)
			master = 1 - master
			Eventually(condition(ctx, object, farpointv1.AvailableCondition)).Should(Equal("False NoEndpointsEligible"))
			Eventually(receiver.firing(ctx, false)).Should(Equal([]string{"FarpointServiceUnavailable sessions"}))
			promoted := time.Now() //nolint:forbidigo // it measures
			promote(master)
			Eventually(published).WithTimeout(20 * time.Second).Should(Equal(states[master]))
			GinkgoWriter.Printf("in traffic %v after its promotion\n", time.Since(promoted)) //nolint:forbidigo // it measures
			Expect(condition(ctx, object, farpointv1.DegradedCondition)()).To(Equal("False NoEndpointsUnhealthy"))
			Expect(now(ctx, object).Status.Unhealthy).To(BeZero())
		}
		Eventually(receiver.firing(ctx, false)).Should(BeEmpty())
		for _, note := range notes(ctx, object)() {
			Expect(note).To(Or(HavePrefix("Normal "), HavePrefix("Warning Unavailable: ")))
		}

		By("both saying that they are the master")
		promote(1 - master)
		Eventually(condition(ctx, object, farpointv1.TooManyReadyCondition)).Should(Equal("True MoreThanMaxReady"))
		Expect(message(ctx, object, farpointv1.TooManyReadyCondition)).To(Equal(fmt.Sprintf("2 servers are healthy, and maxReady is 1: 192.0.2.%d:8080 get no traffic", 10+1-master)))
		both := []string{"Healthy Ready, Healthy Standby", "Healthy Standby, Healthy Ready"}
		Expect(published()).To(Equal(both[master]), "the one with the traffic keeps it")
		Eventually(receiver.firing(ctx, false)).Should(Equal([]string{"FarpointTooManyReady sessions"}))
		Eventually(notes(ctx, object)).Should(ContainElement(HavePrefix("Warning TooManyReady: ")))

		By("the one with the traffic following the other one")
		follow(master, 1-master)
		Eventually(published).Should(Equal(states[1-master]))
		Eventually(receiver.firing(ctx, false)).Should(BeEmpty())
		seen.expectNoFaults(ctx)
	})

	It("are followed from one MariaDB server to the other", func(ctx SpecContext) {
		startOperator(adminConfig)
		namespace := newNamespace(ctx)
		all := []*servers.MariaDB{servers.NewMariaDB(GinkgoT()), servers.NewMariaDB(GinkgoT())}
		var urls []farpointv1.HealthCheckURL
		for _, server := range all {
			server.Start()
			server.Exec("CREATE USER probe IDENTIFIED BY 'hunter2'")
			urls = append(urls, farpointv1.HealthCheckURL("mysql://"+server.Address().String()))
		}
		all[1].Exec("SET GLOBAL read_only = ON")
		object := externalService(namespace, "wiki", urls...)
		object.Spec.HealthCheck.MySQL = &farpointv1.MySQLHealthCheck{Role: farpointv1.RolePrimary}
		object.Spec.HealthCheck.CredentialsSecretRef = &farpointv1.SecretReference{Name: "login"}
		object.Spec.HealthCheck.SendCredentialsToUnverifiedServers = true
		object.Spec.Availability.MaxReady = 1
		seen := watchSlices(ctx, namespace, "wiki", moreThanOneReady)
		create(ctx, loginSecret(namespace, corev1.SecretTypeBasicAuth, map[string]string{"username": "probe", "password": "hunter2"}), service(namespace, "wiki"), object)
		published := func() string {
			var words []string
			for _, endpoint := range now(ctx, object).Status.Endpoints {
				words = append(words, fmt.Sprintf("%s %s", endpoint.Health, endpoint.Published))
			}
			return strings.Join(words, ", ")
		}
		states := []string{"Healthy Ready, Ineligible Standby", "Ineligible Standby, Healthy Ready"}
		Eventually(published).Should(Equal(states[0]))
		primary := 0
		for range 10 {
			all[primary].Exec("SET GLOBAL read_only = ON")
			Eventually(condition(ctx, object, farpointv1.AvailableCondition)).Should(Equal("False NoEndpointsEligible"))
			primary = 1 - primary
			all[primary].Exec("SET GLOBAL read_only = OFF")
			Eventually(published).WithTimeout(20 * time.Second).Should(Equal(states[primary]))
		}
		for _, note := range notes(ctx, object)() {
			Expect(note).To(Or(HavePrefix("Normal "), HavePrefix("Warning Unavailable: ")))
		}
		seen.expectNoFaults(ctx)
	})
})
