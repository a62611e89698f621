output "network" {
  description = "What other stacks and the orchestrator need of this one."
  value = {
    listener_stickiness_duration = var.listener_stickiness_duration
    load_balancer_arn            = module.load_balancer.arn
    load_balancer_arn_suffix     = module.load_balancer.arn_suffix
    load_balancer_dns_name       = module.load_balancer.dns_name
    production_listener_arn      = module.load_balancer.production_listener_arn
    security_group_id            = module.load_balancer.security_group_id
    subnet_ids                   = module.network.subnet_ids
    target_groups                = module.load_balancer.target_groups
    test_cidrs                   = var.test_cidrs
    test_listener_arn            = module.load_balancer.test_listener_arn
    test_url                     = module.load_balancer.test_url
    url                          = module.load_balancer.url
    vpc_id                       = module.network.vpc_id
  }
}
