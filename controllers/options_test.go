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
	"flag"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"farpoint.dev/farpoint/controllers"
)

var _ = DescribeTable("Flags",
	func(complaint string, arguments ...string) {
		options := controllers.NewOptions()
		flags := flag.NewFlagSet("manager", flag.ContinueOnError)
		flags.SetOutput(GinkgoWriter)
		options.AddFlags(flags)
		err := flags.Parse(arguments)
		if err == nil {
			err = options.Validate()
		}
		if complaint == "" {
			Expect(err).NotTo(HaveOccurred())
		} else {
			Expect(err).To(MatchError(ContainSubstring(complaint)))
		}
	},
	Entry("several", "", "--denied-cidrs=10.0.0.0/8, fd00::/8", "--denied-cidrs=0.0.0.0/0", "--allowed-cidrs=10.1.0.0/16,10.2.3.4"),
	Entry("no range", "neither a range such as 10.0.0.0/8 nor an address", "--denied-cidrs=ten"),
	Entry("bits after the prefix", "write 10.0.0.0/8", "--denied-cidrs=10.1.2.3/8"),
	Entry("mapped", "write it as IPv4", "--allowed-cidrs=::ffff:10.0.0.0/104"),
	Entry("labels", "", "--alert-label=cluster=eu-1", "--alert-label=team=payments"),
	Entry("a label that alerts have", "zone is a label that all alerts have", "--alert-label=zone=eu-1a"),
	Entry("a share", "", "--guard-share=0.5", "--guard-release=1"),
	Entry("the guard's numbers", "", "--guard-networks=5", "--guard-max-hold=1m"),
	Entry("no networks", "--guard-networks=0: must be from 1 to 1048576", "--guard-networks=0"),
	Entry("no time to hold", "--guard-max-hold=0s: must be above 0", "--guard-max-hold=0s"),
	Entry("a share of nothing", "--guard-share=0: must be above 0 and at most 1", "--guard-share=0"),
	Entry("no share at all", "--guard-release=NaN: must be above 0 and at most 1", "--guard-release=NaN"),
	Entry("both", "10.0.0.0/8 is in --allowed-cidrs and in --denied-cidrs", "--denied-cidrs=10.0.0.0/8", "--allowed-cidrs=10.0.0.0/8"),
)
