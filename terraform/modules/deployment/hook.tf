# The conversation with green. The zip comes from outside: HCL cannot make one (docs/decisions/0004).
locals {
  hook = var.hook == null ? {} : { this = var.hook }
}

resource "aws_cloudwatch_log_group" "hook" {
  for_each = local.hook

  name              = "/aws/lambda/${var.name}-hook"
  retention_in_days = var.log_retention_days
}

data "aws_iam_policy_document" "hook_assume" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["lambda.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "hook" {
  for_each = local.hook

  name               = "${var.name}-hook-${data.aws_region.this.name}"
  assume_role_policy = data.aws_iam_policy_document.hook_assume.json
}

data "aws_iam_policy_document" "hook" {
  for_each = local.hook

  statement {
    actions   = ["codedeploy:PutLifecycleEventHookExecutionStatus"]
    resources = ["arn:${data.aws_partition.this.partition}:codedeploy:${data.aws_region.this.name}:${data.aws_caller_identity.this.account_id}:deploymentgroup:${var.name}/${var.name}"]
  }

  statement {
    actions   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = ["${aws_cloudwatch_log_group.hook[each.key].arn}:*"]
  }
}

resource "aws_iam_role_policy" "hook" {
  for_each = local.hook

  name   = "hook"
  role   = aws_iam_role.hook[each.key].id
  policy = data.aws_iam_policy_document.hook[each.key].json
}

resource "aws_lambda_function" "hook" {
  for_each = local.hook

  function_name    = "${var.name}-hook"
  description      = "Holds a conversation with green before it gets production traffic"
  filename         = each.value.package_path
  source_code_hash = each.value.package_hash
  handler          = "hook.handler"
  runtime          = "python3.13"
  role             = aws_iam_role.hook[each.key].arn
  memory_size      = 256
  timeout          = 180

  environment {
    # The name in the URL may lead nowhere yet.
    variables = { TEST_ADDRESS = each.value.test_address, TEST_URL = each.value.test_url }
  }

  depends_on = [aws_iam_role_policy.hook]
}
