module "service" {
  source = "../../modules/service"

  capacity_provider_weights       = { FARGATE = var.fargate_weight, FARGATE_SPOT = var.fargate_spot_weight }
  container_name                  = "chatbot"
  container_port                  = 7860
  cpu                             = var.cpu
  cpu_architecture                = var.image.platform == "linux/arm64" ? "ARM64" : "X86_64"
  cpu_target                      = var.cpu_target
  desired_count                   = var.desired_count
  health_check_grace_period       = var.health_check_grace_period
  image                           = var.image.uri
  load_balancer_security_group_id = var.network.security_group_id
  log_retention_days              = var.log_retention_days
  max_capacity                    = var.max_capacity
  memory                          = var.memory
  min_capacity                    = var.min_capacity
  name                            = var.name
  repository_arn                  = var.ecr.repository_arn
  secret_arn                      = var.secret.arn
  stop_timeout                    = var.stop_timeout
  subnet_ids                      = var.network.subnet_ids
  target_group_arn                = var.network.target_groups["blue"].arn
  task_definition_template        = file("${path.module}/../../../taskdef.json")
  vpc_id                          = var.network.vpc_id

  # Empty means the chatbot's own default.
  environment = {
    CHATBOT_BACKEND          = var.chatbot_backend
    CHATBOT_BASE_URL         = var.chatbot_base_url
    CHATBOT_DRAIN_SECONDS    = tostring(max(1, min(110, var.stop_timeout - 5))) # five seconds to end in, before SIGKILL
    CHATBOT_MAX_TOKENS       = var.chatbot_max_tokens == null ? "" : tostring(var.chatbot_max_tokens)
    CHATBOT_MODEL            = var.chatbot_model
    CHATBOT_RATE_PER_MINUTE  = var.chatbot_rate_per_minute == null ? "" : tostring(var.chatbot_rate_per_minute)
    CHATBOT_SLOTS            = tostring(max(1, floor(var.cpu / 1024))) # answers of the embedded model at once: one per vCPU
    CHATBOT_SYSTEM_PROMPT    = var.chatbot_system_prompt
    CHATBOT_TEMPERATURE      = var.chatbot_temperature == null ? "" : tostring(var.chatbot_temperature)
    CHATBOT_TITLE            = var.chatbot_title
    CHATBOT_VISITOR_SETTINGS = join(",", var.chatbot_visitor_settings)
  }
}

module "deployment" {
  source = "../../modules/deployment"

  alarm_5xx_threshold          = var.alarm_5xx_threshold
  alarm_evaluation_periods     = var.alarm_evaluation_periods
  cluster_name                 = module.service.cluster_name
  custom_deployment_config     = var.custom_deployment_config
  deployment_config            = var.deployment_config
  listener_stickiness_duration = var.network.listener_stickiness_duration
  load_balancer_arn_suffix     = var.network.load_balancer_arn_suffix
  log_retention_days           = var.log_retention_days
  name                         = var.name
  production_listener_arn      = var.network.production_listener_arn
  service_name                 = module.service.service_name
  target_groups                = var.network.target_groups
  termination_wait_minutes     = var.termination_wait_minutes
  test_listener_arn            = var.network.test_listener_arn

  hook = !var.hook ? null : {
    package_hash = var.hook_package.hash
    package_path = var.hook_package.path
    test_address = var.network.load_balancer_dns_name
    test_url     = var.network.test_url
  }
}
