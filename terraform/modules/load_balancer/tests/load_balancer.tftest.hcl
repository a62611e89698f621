mock_provider "aws" {
  mock_resource "aws_lb" {
    defaults = {
      arn      = "arn:aws:elasticloadbalancing:us-east-1:123456789012:loadbalancer/app/chatbot/1"
      dns_name = "chatbot-1.us-east-1.elb.amazonaws.com"
    }
  }
}

# Each its own: with the mock's one ARN, "traffic starts on blue" would pass on green too.
override_resource {
  target = aws_lb_target_group.this["blue"]
  values = { arn = "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/chatbot-blue/1" }
}

override_resource {
  target = aws_lb_target_group.this["green"]
  values = { arn = "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/chatbot-green/2" }
}

variables {
  name                 = "chatbot"
  vpc_id               = "vpc-0a"
  subnet_ids           = ["subnet-a", "subnet-b"]
  container_port       = 7860
  deregistration_delay = 120
  idle_timeout         = 300
  stickiness_duration  = 3600
  test_cidrs           = ["203.0.113.0/24", "198.51.100.7/32"]
  test_port            = 8080

  health_check = {
    healthy_threshold   = 2
    interval            = 10
    path                = "/healthz"
    timeout             = 4
    unhealthy_threshold = 3
  }
}

run "traffic_starts_on_blue_at_both_listeners" {
  assert {
    condition = { for group in aws_lb_listener.production.default_action[0].forward[0].target_group : group.arn => group.weight } == {
      (aws_lb_target_group.this["blue"].arn)  = 100
      (aws_lb_target_group.this["green"].arn) = 0
    }
    error_message = "Production does not start on blue alone."
  }

  assert {
    condition     = aws_lb_listener.test.default_action[0].target_group_arn == aws_lb_target_group.this["blue"].arn
    error_message = "The test listener does not start on blue."
  }

  assert {
    condition     = output.url == "http://chatbot-1.us-east-1.elb.amazonaws.com" && output.test_url == "http://chatbot-1.us-east-1.elb.amazonaws.com:8080"
    error_message = "The URLs are not those of the listeners."
  }
}

# Terraform creates, CodeDeploy moves: whatever the configuration says later, the action stays as it was found.
run "an_existing_listener_keeps_its_action" {
  variables {
    listener_stickiness_duration = 300
  }

  assert {
    condition     = one(aws_lb_listener.production.default_action[0].forward[0].stickiness).duration == 5
    error_message = "Terraform would take the production listener back from CodeDeploy."
  }
}

run "a_colour_keeps_its_clients_for_a_while" {
  # State of its own: a listener that is created with the setting.
  state_key = "sticky"

  variables {
    listener_stickiness_duration = 300
  }

  assert {
    condition = { for group in aws_lb_listener.production.default_action[0].forward[0].target_group : group.arn => group.weight } == {
      (aws_lb_target_group.this["blue"].arn)  = 100
      (aws_lb_target_group.this["green"].arn) = 0
    }
    error_message = "Group stickiness needs both groups, with all traffic on blue."
  }

  assert {
    condition     = one(aws_lb_listener.production.default_action[0].forward[0].stickiness).enabled && one(aws_lb_listener.production.default_action[0].forward[0].stickiness).duration == 300
    error_message = "listener_stickiness_duration is not used."
  }
}

run "a_colour_that_keeps_nobody_is_alone_in_the_action" {
  state_key = "loose"

  variables {
    listener_stickiness_duration = 0
  }

  assert {
    condition     = [for group in aws_lb_listener.production.default_action[0].forward[0].target_group : group.arn] == [aws_lb_target_group.this["blue"].arn] && length(aws_lb_listener.production.default_action[0].forward[0].stickiness) == 0
    error_message = "Without stickiness Production does not start on blue alone."
  }
}

run "both_colours_are_alike_and_keep_a_session_on_its_task" {
  assert {
    condition = alltrue([for colour, group in aws_lb_target_group.this :
      group.target_type == "ip" && group.port == 7860 && group.protocol == "HTTP" &&
      group.stickiness[0].type == "lb_cookie" && group.stickiness[0].cookie_duration == 3600 &&
      group.name == "chatbot-${colour}" && tostring(group.deregistration_delay) == "120"
    ])
    error_message = "A target group is not as Gradio and Fargate need it."
  }

  assert {
    condition     = toset(keys(output.target_groups)) == toset(["blue", "green"])
    error_message = "There are not two colours."
  }

  assert {
    condition = alltrue([for group in aws_lb_target_group.this :
      group.health_check[0].path == "/healthz" && group.health_check[0].matcher == "200" && group.health_check[0].interval == 10 &&
      group.health_check[0].timeout == 4 && group.health_check[0].healthy_threshold == 2 && group.health_check[0].unhealthy_threshold == 3
    ])
    error_message = "The health check is not the configured one."
  }
}

run "streams_outlive_a_slow_model" {
  assert {
    condition     = aws_lb.this.idle_timeout == 300 && aws_lb.this.drop_invalid_header_fields
    error_message = "The load balancer would cut a silent stream, or pass on malformed headers."
  }
}

run "the_test_listener_is_open_to_the_list_alone" {
  assert {
    condition     = toset([for rule in aws_vpc_security_group_ingress_rule.test : rule.cidr_ipv4]) == toset(["203.0.113.0/24", "198.51.100.7/32"]) && alltrue([for rule in aws_vpc_security_group_ingress_rule.test : rule.from_port == 8080 && rule.to_port == 8080])
    error_message = "Others can open the test listener, or the list cannot."
  }

  assert {
    condition     = toset(keys(aws_vpc_security_group_ingress_rule.public)) == toset(["80"])
    error_message = "More than the production port is public."
  }

  assert {
    condition     = aws_vpc_security_group_egress_rule.tasks.from_port == 7860 && aws_vpc_security_group_egress_rule.tasks.to_port == 7860
    error_message = "The load balancer may call more than the tasks."
  }
}

run "without_a_certificate_there_is_no_redirect" {
  assert {
    condition     = length(aws_lb_listener.redirect) == 0 && aws_lb_listener.production.port == 80 && aws_lb_listener.production.protocol == "HTTP"
    error_message = "Plain HTTP is not on port 80 alone."
  }
}

run "a_certificate_puts_production_on_443_and_redirects_80" {
  variables {
    certificate_arn = "arn:aws:acm:us-east-1:123456789012:certificate/1"
    domain_name     = "chat.example.com"
  }

  assert {
    condition     = aws_lb_listener.production.port == 443 && aws_lb_listener.production.protocol == "HTTPS" && aws_lb_listener.production.certificate_arn == "arn:aws:acm:us-east-1:123456789012:certificate/1"
    error_message = "Production does not speak HTTPS."
  }

  assert {
    condition     = aws_lb_listener.test.protocol == "HTTPS"
    error_message = "The test listener does not speak HTTPS."
  }

  assert {
    condition     = aws_lb_listener.redirect[0].port == 80 && aws_lb_listener.redirect[0].default_action[0].redirect[0].protocol == "HTTPS" && aws_lb_listener.redirect[0].default_action[0].redirect[0].port == "443"
    error_message = "Port 80 does not redirect."
  }

  assert {
    condition     = toset(keys(aws_vpc_security_group_ingress_rule.public)) == toset(["80", "443"])
    error_message = "Port 80 or 443 is closed."
  }

  assert {
    condition     = output.url == "https://chat.example.com" && output.test_url == "https://chat.example.com:8080"
    error_message = "The URLs do not name the certificate's domain."
  }
}

run "another_production_port_is_in_the_url" {
  variables {
    production_port = 8000
  }

  assert {
    condition     = aws_lb_listener.production.port == 8000 && endswith(output.url, ":8000")
    error_message = "production_port is not used."
  }
}

run "equal_ports_are_refused" {
  command = plan

  variables {
    production_port = 8080
  }

  expect_failures = [var.test_port]
}

run "one_subnet_is_refused" {
  command = plan

  variables {
    subnet_ids = ["subnet-a"]
  }

  expect_failures = [var.subnet_ids]
}

run "a_name_too_long_for_a_target_group_is_refused" {
  command = plan

  variables {
    name = "a-name-of-twenty-seven-char"
  }

  expect_failures = [var.name]
}

run "a_health_check_slower_than_its_interval_is_refused" {
  command = plan

  variables {
    health_check = { healthy_threshold = 2, interval = 5, path = "/healthz", timeout = 5, unhealthy_threshold = 3 }
  }

  expect_failures = [var.health_check]
}

run "a_health_path_without_a_slash_is_refused" {
  command = plan

  variables {
    health_check = { healthy_threshold = 2, interval = 10, path = "healthz", timeout = 5, unhealthy_threshold = 3 }
  }

  expect_failures = [var.health_check]
}

run "a_wrong_idle_timeout_is_refused" {
  command = plan

  variables {
    idle_timeout = 4001
  }

  expect_failures = [var.idle_timeout]
}

run "wrong_stickiness_is_refused" {
  command = plan

  variables {
    stickiness_duration          = 0
    listener_stickiness_duration = 604801
  }

  expect_failures = [var.stickiness_duration, var.listener_stickiness_duration]
}

run "a_list_of_what_are_no_blocks_is_refused" {
  command = plan

  variables {
    test_cidrs = ["everyone"]
  }

  expect_failures = [var.test_cidrs]
}
