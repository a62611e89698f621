module "network" {
  source = "../../modules/network"

  name        = var.name
  subnet_ids  = var.subnet_ids
  subnet_tags = var.subnet_tags
  vpc_cidr    = var.vpc_cidr
  vpc_id      = var.vpc_id
}

module "load_balancer" {
  source = "../../modules/load_balancer"

  certificate_arn              = var.certificate_arn
  container_port               = 7860
  deregistration_delay         = var.deregistration_delay
  domain_name                  = var.domain_name
  idle_timeout                 = var.idle_timeout
  listener_stickiness_duration = var.listener_stickiness_duration
  name                         = var.name
  production_port              = var.production_port
  stickiness_duration          = var.stickiness_duration
  subnet_ids                   = module.network.subnet_ids
  test_cidrs                   = var.test_cidrs
  test_port                    = var.test_port
  vpc_id                       = module.network.vpc_id

  health_check = {
    healthy_threshold   = var.health_check_healthy_threshold
    interval            = var.health_check_interval
    path                = var.health_check_path
    timeout             = var.health_check_timeout
    unhealthy_threshold = var.health_check_unhealthy_threshold
  }
}
