locals {
  protocol     = var.certificate_arn == null ? "HTTP" : "HTTPS"
  default_port = local.protocol == "HTTPS" ? 443 : 80
  port         = coalesce(var.production_port, local.default_port)
  redirect     = local.protocol == "HTTPS" && !contains([local.port, var.test_port], 80)
  ssl_policy   = local.protocol == "HTTPS" ? "ELBSecurityPolicy-TLS13-1-2-2021-06" : null

  host      = coalesce(var.domain_name, aws_lb.this.dns_name)
  authority = local.port == local.default_port ? local.host : "${local.host}:${local.port}"
}

resource "aws_lb" "this" {
  name                       = var.name
  load_balancer_type         = "application"
  subnets                    = var.subnet_ids
  security_groups            = [aws_security_group.this.id]
  idle_timeout               = var.idle_timeout
  drop_invalid_header_fields = true
}

resource "aws_lb_target_group" "this" {
  for_each = toset(["blue", "green"])

  name                 = "${var.name}-${each.key}"
  vpc_id               = var.vpc_id
  target_type          = "ip"
  protocol             = "HTTP"
  port                 = var.container_port
  deregistration_delay = var.deregistration_delay

  # Gradio keeps a session in one process.
  stickiness {
    type            = "lb_cookie"
    cookie_duration = var.stickiness_duration
  }

  health_check {
    path                = var.health_check.path
    matcher             = "200"
    interval            = var.health_check.interval
    timeout             = var.health_check.timeout
    healthy_threshold   = var.health_check.healthy_threshold
    unhealthy_threshold = var.health_check.unhealthy_threshold
  }
}

resource "aws_lb_listener" "production" {
  load_balancer_arn = aws_lb.this.arn
  port              = local.port
  protocol          = local.protocol
  certificate_arn   = var.certificate_arn
  ssl_policy        = local.ssl_policy

  default_action {
    type = "forward"

    forward {
      target_group {
        arn    = aws_lb_target_group.this["blue"].arn
        weight = 100
      }

      # A group stickiness needs both groups in the action; it keeps a client on its colour while traffic shifts.
      dynamic "target_group" {
        for_each = var.listener_stickiness_duration > 0 ? [aws_lb_target_group.this["green"].arn] : []

        content {
          arn    = target_group.value
          weight = 0
        }
      }

      dynamic "stickiness" {
        for_each = var.listener_stickiness_duration > 0 ? [var.listener_stickiness_duration] : []

        content {
          enabled  = true
          duration = stickiness.value
        }
      }
    }
  }

  lifecycle {
    # CodeDeploy moves it from release to release, and may leave both target groups attached.
    ignore_changes = [default_action]
  }
}

resource "aws_lb_listener" "test" {
  load_balancer_arn = aws_lb.this.arn
  port              = var.test_port
  protocol          = local.protocol
  certificate_arn   = var.certificate_arn
  ssl_policy        = local.ssl_policy

  # Before the first release there is only blue to see.
  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.this["blue"].arn
  }

  lifecycle {
    # CodeDeploy moves it from release to release.
    ignore_changes = [default_action]
  }
}

# CodeDeploy takes one production listener: plain HTTP stays outside of it.
resource "aws_lb_listener" "redirect" {
  count = local.redirect ? 1 : 0

  load_balancer_arn = aws_lb.this.arn
  port              = 80
  protocol          = "HTTP"

  default_action {
    type = "redirect"

    redirect {
      protocol    = "HTTPS"
      port        = local.port
      status_code = "HTTP_301"
    }
  }
}
