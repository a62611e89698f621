resource "aws_cloudwatch_metric_alarm" "errors" {
  for_each = var.target_groups

  alarm_name          = "${var.name}-${each.key}-5xx"
  alarm_description   = "${var.name}: ${each.key} answers with server errors."
  namespace           = "AWS/ApplicationELB"
  metric_name         = "HTTPCode_Target_5XX_Count"
  statistic           = "Sum"
  period              = 60
  evaluation_periods  = var.alarm_evaluation_periods
  comparison_operator = "GreaterThanOrEqualToThreshold"
  threshold           = var.alarm_5xx_threshold

  # No request, no data, no alarm.
  treat_missing_data = "notBreaching"

  dimensions = {
    LoadBalancer = var.load_balancer_arn_suffix
    TargetGroup  = each.value.arn_suffix
  }
}

resource "aws_cloudwatch_metric_alarm" "unhealthy" {
  for_each = var.target_groups

  alarm_name          = "${var.name}-${each.key}-unhealthy"
  alarm_description   = "${var.name}: ${each.key} has a task that fails its health checks."
  namespace           = "AWS/ApplicationELB"
  metric_name         = "UnHealthyHostCount"
  period              = 60
  evaluation_periods  = var.alarm_evaluation_periods
  comparison_operator = "GreaterThanOrEqualToThreshold"
  threshold           = 1

  # The least of the minute: a task that is being replaced does not stop a release.
  statistic          = "Minimum"
  treat_missing_data = "notBreaching"

  dimensions = {
    LoadBalancer = var.load_balancer_arn_suffix
    TargetGroup  = each.value.arn_suffix
  }
}
