mock_provider "aws" {
  mock_data "aws_availability_zones" {
    defaults = { names = ["us-east-1a", "us-east-1b"] }
  }

  mock_resource "aws_lb" {
    defaults = {
      arn      = "arn:aws:elasticloadbalancing:us-east-1:123456789012:loadbalancer/app/chatbot/1"
      dns_name = "chatbot-1.us-east-1.elb.amazonaws.com"
    }
  }

  mock_resource "aws_lb_target_group" {
    defaults = { arn = "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/chatbot/1" }
  }
}

variables {
  name       = "chatbot"
  region     = "us-east-1"
  allow_http = true
}

run "plain_http_is_chosen" {
  command = plan

  variables {
    allow_http = false
  }

  expect_failures = [var.allow_http]
}

run "the_defaults_make_a_new_vpc_and_a_public_page" {
  assert {
    condition     = output.network.url == "http://chatbot-1.us-east-1.elb.amazonaws.com" && output.network.test_url == "http://chatbot-1.us-east-1.elb.amazonaws.com:8080" && length(output.network.subnet_ids) == 2
    error_message = "The defaults do not make a page on port 80 and a test listener on 8080."
  }
}

run "the_settings_reach_the_load_balancer" {
  command = plan

  variables {
    deregistration_delay             = 15
    health_check_healthy_threshold   = 4
    health_check_interval            = 20
    health_check_path                = "/readyz"
    health_check_timeout             = 7
    health_check_unhealthy_threshold = 5
    idle_timeout                     = 600
    production_port                  = 8000
    stickiness_duration              = 60
    subnet_ids                       = ["subnet-a", "subnet-b"]
    test_port                        = 8001
    vpc_id                           = "vpc-0a"
  }

  assert {
    condition     = output.network.vpc_id == "vpc-0a" && output.network.subnet_ids == tolist(["subnet-a", "subnet-b"])
    error_message = "The existing network is not used."
  }
}

run "wrong_numbers_are_refused" {
  command = plan

  variables {
    deregistration_delay             = 3601
    health_check_healthy_threshold   = 1
    health_check_interval            = 4
    health_check_unhealthy_threshold = 11
    idle_timeout                     = 0
    listener_stickiness_duration     = -1
    production_port                  = 0
    stickiness_duration              = 604801
  }

  expect_failures = [
    var.deregistration_delay, var.health_check_healthy_threshold, var.health_check_interval,
    var.health_check_unhealthy_threshold, var.idle_timeout, var.listener_stickiness_duration, var.production_port,
    var.stickiness_duration,
  ]
}

# Apart: a validation that looks at another variable runs only when that one is right.
run "more_wrong_numbers_are_refused" {
  command = plan

  variables {
    health_check_timeout = 1
    test_port            = 65536
  }

  expect_failures = [var.health_check_timeout, var.test_port]
}

run "wrong_names_are_refused" {
  command = plan

  variables {
    domain_name       = "Chat"
    health_check_path = "healthz"
    name              = "Chatbot"
    test_cidrs        = ["localhost"]
    vpc_cidr          = "10.0.0.0/24"
    vpc_id            = "my-vpc"
  }

  expect_failures = [
    var.domain_name, var.health_check_path, var.name, var.test_cidrs, var.vpc_cidr, var.vpc_id,
  ]
}

run "a_time_out_as_long_as_the_interval_is_refused" {
  command = plan

  variables {
    health_check_interval = 5
    health_check_timeout  = 5
  }

  expect_failures = [var.health_check_timeout]
}

run "what_is_no_certificate_is_refused" {
  command = plan

  variables {
    certificate_arn = "arn:aws:iam::123456789012:server-certificate/old"
    domain_name     = "chat.example.com"
  }

  expect_failures = [var.certificate_arn]
}

run "a_certificate_without_its_domain_is_refused" {
  command = plan

  variables {
    certificate_arn = "arn:aws:acm:us-east-1:123456789012:certificate/1"
  }

  expect_failures = [var.certificate_arn]
}

run "equal_ports_are_refused_with_the_default_too" {
  command = plan

  variables {
    test_port = 80
  }

  expect_failures = [var.test_port]
}

run "an_empty_list_for_the_test_listener_is_refused" {
  command = plan

  variables {
    test_cidrs = []
  }

  expect_failures = [var.test_cidrs]
}

run "a_vpc_without_subnets_is_refused" {
  command = plan

  variables {
    vpc_id = "vpc-0a"
  }

  # By the stack's setting, and by the module that it is handed to.
  expect_failures = [var.vpc_id]
}

run "subnets_without_their_vpc_are_refused" {
  command = plan

  variables {
    subnet_ids = ["subnet-a", "subnet-b"]
  }

  expect_failures = [var.vpc_id]
}

run "one_subnet_twice_is_refused" {
  command = plan

  variables {
    subnet_ids = ["subnet-a", "subnet-a"]
    vpc_id     = "vpc-0a"
  }

  expect_failures = [var.subnet_ids]
}

run "subnets_by_id_and_by_tag_are_refused" {
  command = plan

  variables {
    subnet_ids  = ["subnet-a", "subnet-b"]
    subnet_tags = { Tier = "public" }
    vpc_id      = "vpc-0a"
  }

  expect_failures = [var.subnet_tags]
}
